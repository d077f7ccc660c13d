package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/doctor"
	"github.com/ctsim/ctsim/topology"
)

// rootlessMark is set to 1 in the environment of a ctsim that works in a user namespace: package scenario notes it in
// the result, and ctsim does not try to go into one twice.
const rootlessMark = "CTSIM_ROOTLESS"

// needed are the capabilities that a world is built with.
var needed = []struct {
	bit  int
	name string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, // namespaces
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, // links, rules, conntrack
	{unix.CAP_NET_RAW, "CAP_NET_RAW"},     // watching packets
}

// gainRoot makes sure that the command can build worlds. If this process may not, the command line is run again in a
// user namespace, where it may: done is true then and code is what that run ended with. The library is passed on
// if it came by stdin, which cannot be read twice.
func (inv *invocation) gainRoot(ctx context.Context, l *library) (code int, done bool, err error) {
	missing, err := missingCapabilities()
	if err != nil {
		return 0, false, err
	}
	if os.Getenv(rootlessMark) == "1" {
		return 0, false, inv.checkRootless(missing)
	}
	if os.Geteuid() == 0 && len(missing) == 0 {
		return 0, false, markForeignRoot()
	}
	child, err := inv.startRootless(l)
	if err != nil {
		return 0, false, inv.cannotGainRoot(missing, err)
	}
	return waitRootless(ctx, child), true, nil
}

// missingCapabilities names what the process may not do in its user namespace.
func missingCapabilities() ([]string, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return nil, fmt.Errorf("capget: %w", err)
	}
	var missing []string
	for _, c := range needed {
		if sets[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing, nil
}

// checkRootless finds out whether a user namespace is of any use: where AppArmor restricts them, it can be made and all
// its capabilities seem to be there, but using one is refused.
func (inv *invocation) checkRootless(missing []string) error {
	if len(missing) > 0 {
		return inv.cannotGainRoot(missing, errors.New("the user namespace gives no capabilities"))
	}
	ns, err := topology.NewNamespace("probe")
	if err != nil {
		return inv.cannotGainRoot(nil, err)
	}
	return ns.Close()
}

// markForeignRoot marks a root that is one only in a user namespace somebody else made, `unshare -Ur` for instance.
func markForeignRoot() error {
	if foreign, err := foreignRoot(); err != nil || !foreign {
		return err
	}
	return os.Setenv(rootlessMark, "1")
}

// foreignRoot tells whether the process is in another user namespace than the first one.
func foreignRoot() (bool, error) {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, err
	}
	fields := strings.Fields(string(data))
	return len(fields) != 3 || fields[2] != "4294967295", nil
}

// startRootless starts the same command line in a user, mount and network namespace of its own. It has to be called
// on the main thread, or one that lives as long as the process, because the kernel ends the child with that thread.
// Equivalent: `unshare --user --map-root-user --mount --net`.
func (inv *invocation) startRootless(l *library) (*exec.Cmd, error) {
	child := exec.Command("/proc/self/exe")
	child.Args = inv.args
	child.Env = append(os.Environ(), rootlessMark+"=1")
	child.Stdin, child.Stdout, child.Stderr = inv.stdin, inv.stdout, inv.stderr
	if l.stdin {
		child.Stdin = bytes.NewReader(l.data)
	}
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		// Without this a SIGKILL would end the parent alone.
		Pdeathsig: syscall.SIGKILL,
	}
	return child, child.Start()
}

// waitRootless waits for the child, passes one signal on to it, and gives the exit code.
func waitRootless(ctx context.Context, child *exec.Cmd) int {
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			if i, ok := interrupted(ctx); ok {
				_ = child.Process.Signal(i.signal) // an error means that it has ended
				return
			}
			_ = child.Process.Kill()
		case <-ended:
		}
	}()
	err := child.Wait()
	close(ended)
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return exitUnsupported // its stdin or stdout could not be copied
	}
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return child.ProcessState.ExitCode()
}

// cannotGainRoot says what is forbidden and what would help.
func (inv *invocation) cannotGainRoot(missing []string, err error) error {
	text := fmt.Sprintf("no root, and no user namespace either: %s%s", err, whyForbidden())
	if os.Getuid() == 0 && os.Getenv(rootlessMark) != "1" {
		text = fmt.Sprintf("root lacks %s, and no user namespace could be made: %s%s", strings.Join(missing, ", "), err, whyForbidden())
		return &exit{exitUnsupported, text, "in a container: docker run --privileged … " + commandLine(inv.args)}
	}
	return &exit{exitUnsupported, text, inv.withRoot()}
}

// whyForbidden names the setting of this machine that forbids user namespaces to users; empty if it is none of the
// known ones.
func whyForbidden() string {
	if setting, _ := doctor.UserNamespacesForbidden(); setting != "" {
		return " (" + setting + ")"
	}
	return ""
}
