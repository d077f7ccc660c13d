package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// keeperName is argv[0] of a ctsim that is a keeper.
const keeperName = "ctsim: keeper of a program"

// The keeper's descriptors besides the program's three: its order comes on one, what it has to tell goes to the other.
const (
	orderFD  = 3
	statusFD = 4
)

// order is what a keeper is to do.
type order struct {
	Name, Command, User string
	Env                 []string
	Hosts               string
}

// status is one thing that a keeper tells.
type status struct {
	// Error is why the program could not be started.
	Error string `json:",omitempty"`
	// Started is true once it runs.
	Started bool `json:",omitempty"`
	// Exit is how the command itself ended; what it has left running may go on.
	Exit *Exit `json:",omitempty"`
}

// Every program that can start programs can be their keeper, tests too: the re-exec is answered before main, and
// before any other part of the program has begun.
func init() {
	if len(os.Args) == 1 && os.Args[0] == keeperName && os.Getpid() == 1 {
		keep()
	}
}

// keep is the whole life of a keeper. It ends when the last process of its PID namespace has.
func keep() {
	// Process 1 gets no signal that it does not handle.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	unix.CloseOnExec(orderFD)
	unix.CloseOnExec(statusFD)
	out := os.NewFile(statusFD, "status")
	tell := func(s status) {
		data, _ := json.Marshal(s)
		_, _ = out.Write(append(data, '\n')) // if nobody listens any more, ctsim has ended and so will this
	}
	var o order
	err := json.NewDecoder(os.NewFile(orderFD, "order")).Decode(&o)
	pid := 0
	if err == nil {
		pid, err = o.start()
	}
	if err != nil {
		tell(status{Error: err.Error()})
		os.Exit(1)
	}
	tell(status{Started: true})
	go func() {
		for s := range signals {
			_ = unix.Kill(-1, s.(syscall.Signal)) // all but itself
		}
	}()
	for {
		var how unix.WaitStatus
		ended, err := unix.Wait4(-1, &how, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD: that was the last
			os.Exit(0)
		case ended == pid:
			tell(status{Exit: exitOf(how)})
		}
	}
}

func exitOf(how unix.WaitStatus) *Exit {
	if how.Signaled() {
		return &Exit{Code: 128 + int(how.Signal()), Signal: how.Signal()}
	}
	return &Exit{Code: how.ExitStatus()}
}

// start makes the pod's view of the machine and starts the program in it.
func (o order) start() (pid int, err error) {
	user, err := o.lookUp()
	if err != nil {
		return 0, err
	}
	home, temporary, err := o.mount(user)
	if err != nil {
		return 0, err
	}
	if err := unix.Sethostname([]byte(o.Name)); err != nil {
		return 0, fmt.Errorf("sethostname: %w", err)
	}
	attr := &syscall.ProcAttr{Dir: home, Files: []uintptr{0, 1, 2}, Sys: user.attributes(),
		Env: o.environment(user, home, temporary)}
	pid, err = syscall.ForkExec("/bin/sh", []string{"sh", "-c", o.Command}, attr)
	if err != nil {
		return 0, fmt.Errorf("start /bin/sh%s: %w", user.as(), err)
	}
	return pid, nil
}

// environment is ctsim's own, without what is about a session that the program is no part of.
func (o order) environment(w who, home, temporary string) []string {
	var env []string
	for _, e := range os.Environ() {
		key, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(key, "XDG_") && !strings.HasPrefix(key, "SUDO_") && key != "OLDPWD" {
			env = append(env, e)
		}
	}
	if dir, err := os.Getwd(); err == nil {
		env = append(env, "OLDPWD="+dir)
	}
	env = append(env, "HOME="+home, "PWD="+home, "TMPDIR="+temporary, "HOSTNAME="+o.Name)
	if w.name != "" {
		env = append(env, "USER="+w.name, "LOGNAME="+w.name)
	}
	return append(env, o.Env...)
}

// who is the user that a program runs as. The zero value is ctsim's own.
type who struct {
	set      bool
	name     string
	uid, gid int
	// nested is true if this user namespace does not have the user, so that the program needs one of its own.
	nested bool
}

// lookUp finds the user in /etc/passwd.
func (o order) lookUp() (who, error) {
	if o.User == "" {
		return who{}, nil
	}
	u, err := user.Lookup(o.User)
	if n, notNumber := strconv.Atoi(o.User); notNumber == nil {
		u, err = user.LookupId(o.User)
		if err != nil && n >= 0 { // a number needs no name
			u, err = &user.User{Uid: o.User, Gid: o.User}, nil
		}
	}
	if err != nil {
		return who{}, fmt.Errorf("user %s: %w", o.User, err)
	}
	w := who{set: true, name: u.Username}
	if w.uid, err = strconv.Atoi(u.Uid); err != nil {
		return who{}, fmt.Errorf("user %s: uid %s: %w", o.User, u.Uid, err)
	}
	if w.gid, err = strconv.Atoi(u.Gid); err != nil {
		return who{}, fmt.Errorf("user %s: gid %s: %w", o.User, u.Gid, err)
	}
	has, err := mapped("/proc/self/uid_map", w.uid)
	if err != nil {
		return who{}, err
	}
	w.nested = !has && w.uid != 0
	return w, nil
}

// mapped tells whether a user namespace's map has a number.
func mapped(file string, id int) (bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(data)) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && id >= inside && id-inside < count {
			return true, nil
		}
	}
	return false, nil
}

// attributes are how the program is started. Equivalent: `setpriv --reuid … --regid … --clear-groups`, nested
// `unshare --user --map-user … --map-group …`.
func (w who) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	switch {
	case w.nested:
		attr.Cloneflags = unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: w.uid, HostID: 0, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: w.gid, HostID: 0, Size: 1}}
	case w.set && w.uid != 0:
		attr.Credential = &syscall.Credential{Uid: uint32(w.uid), Gid: uint32(w.gid)}
	}
	return attr
}

func (w who) as() string {
	switch {
	case w.nested:
		return fmt.Sprintf(" as user %d in a user namespace of its own", w.uid)
	case w.set:
		return fmt.Sprintf(" as user %d", w.uid)
	}
	return ""
}
