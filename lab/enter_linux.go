package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// Variables that a process started in a pod finds in its environment, besides the mark.
const (
	// NameVariable is the lab's name: `ctsim lab` commands typed there mean this lab.
	NameVariable = "CTSIM_LAB"
	podVariable  = "CTSIM_POD"
	// folderVariable is the working folder of a process that goes into a lab: entering a mount namespace loses it.
	folderVariable = "CTSIM_LAB_FOLDER"
	// lockVariable is what iptables-legacy locks, see package iptables: the file it has by default is not an ordinary
	// user's to write.
	lockVariable = "XTABLES_LOCKFILE"
)

// ErrNsenter is matched by the error of Enter if the machine lacks nsenter.
var ErrNsenter = errors.New("nsenter is not installed")

// Outside tells whether this process has to go into the lab's user and mount namespaces before it can Open it.
func (r *Record) Outside() bool { return r.Holder != nil && !r.entered() }

// Enter replaces this process by one with the same environment and the given command line, inside the namespaces of the
// lab's holder; mark is a NAME=VALUE that it gets besides, by which it knows where it is. It returns only if that fails. A process with several threads, which every Go program is, cannot go into
// a user namespace; nsenter has one, and the process stays the same one for the terminal and the shell.
// Equivalent: `nsenter --target HOLDER --user --mount --net --preserve-credentials PROGRAM…`.
func (r *Record) Enter(args []string, mark string) error {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNsenter, err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	folder, err := os.Getwd()
	if err != nil {
		folder = "/"
	}
	command := []string{"nsenter", "--target", fmt.Sprint(r.Holder.PID), "--mount", "--net"}
	if !sameNamespace("user", r.Holder.PID) {
		command = append(command, "--user", "--preserve-credentials")
	}
	command = append(append(command, "--", program), args...)
	env := append(os.Environ(), mark, folderVariable+"="+folder)
	return syscall.Exec(nsenter, command, env)
}

// Entered undoes what Enter had to do to the process's surroundings: it goes back to the working folder.
func Entered() {
	if folder := os.Getenv(folderVariable); folder != "" {
		_ = os.Chdir(folder) // it may be one that only the outside has
		_ = os.Unsetenv(folderVariable)
	}
}

func sameNamespace(kind string, pid int) bool {
	var mine, theirs unix.Stat_t
	return unix.Stat("/proc/self/ns/"+kind, &mine) == nil &&
		unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), &theirs) == nil && mine.Ino == theirs.Ino
}

// NotStarted is the error of a command that could not be started in a pod. Code is the exit status that a shell or env
// has for it: 127 if it was not found, 126 if it cannot be executed.
type NotStarted struct {
	Command string
	Code    int
	Err     error
}

// Error names the command, and why it did not start.
func (e *NotStarted) Error() string { return fmt.Sprintf("%s: %s", e.Command, e.Err) }

// Unwrap is the operating system's reason.
func (e *NotStarted) Unwrap() error { return e.Err }

// Exec replaces this process by a command inside a pod or node: its terminal, signals and exit status are the command's
// own. It returns only if that fails; the error is *NotStarted if it is the command's fault. As with `ip netns exec`,
// the command's /sys shows the pod's interfaces; besides, its host name is the pod's.
// It needs CAP_SYS_ADMIN over the lab's namespaces.
func (r *Record) Exec(pod string, command []string) error {
	ns, err := r.open(pod)
	if err != nil {
		return err
	}
	env := r.environment(pod)
	path, err := find(command[0], env)
	if err != nil {
		return &NotStarted{command[0], codeOf(err), err}
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread becomes the command, or is thrown away
		failed <- execIn(ns, pod, path, command, env)
	}()
	return <-failed
}

func execIn(ns *topology.Namespace, pod, path string, command, env []string) error {
	if err := netns.Set(netns.NsHandle(ns.Fd())); err != nil {
		return fmt.Errorf("enter the network namespace of %s: %w", pod, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("unshare for %s: %w", pod, err)
	}
	if err := unix.Sethostname([]byte(pod)); err != nil {
		return fmt.Errorf("host name %s: %w", pod, err)
	}
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts of %s: %w", pod, err)
	}
	// Some containers forbid it. What is lost is a view of the interfaces that few programs need.
	_ = unix.Mount("ctsim", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	err := syscall.Exec(path, command, env)
	return &NotStarted{command[0], codeOf(err), err}
}

// environment is what a command in a pod gets: the caller's, with sbin in PATH, where an ordinary user lacks it.
func (r *Record) environment(pod string) []string {
	ours := []string{NameVariable, podVariable, idVariable, lockVariable}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ours, name)
	})
	hasPath := false
	for i, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			env[i], hasPath = "PATH="+withSbin(path), true
		}
	}
	if !hasPath {
		env = append(env, "PATH="+withSbin("/usr/local/bin:/usr/bin:/bin"))
	}
	return append(env, NameVariable+"="+r.Name, podVariable+"="+pod, idVariable+"="+r.ID,
		lockVariable+"=/proc/self/ns/net")
}

func withSbin(path string) string {
	dirs := filepath.SplitList(path)
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !slices.Contains(dirs, dir) {
			path += ":" + dir
		}
	}
	return path
}

// find looks a command up in the PATH of an environment.
func find(command string, env []string) (string, error) {
	for _, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	path, err := exec.LookPath(command)
	var wrapped *exec.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return path, err
}

// codeOf is the shell's exit status for a command that cannot be started.
func codeOf(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}
