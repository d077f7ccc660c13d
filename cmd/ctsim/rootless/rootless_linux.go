// Package rootless makes a process root enough to build worlds: where it is not, the command line is run again in a user
// namespace, where it is.
package rootless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/doctor"
	"github.com/ctsim/ctsim/topology"
)

// variable is set to 1 in the environment of a ctsim that has been brought into a user namespace, so that it does not try
// to go into one twice. It is for ctsim alone: nothing that ctsim starts has it.
const variable = "CTSIM_ROOTLESS"

// marked is what this process knows of itself from its environment, or has found out.
var marked = os.Getenv(variable) == "1"

func init() { _ = os.Unsetenv(variable) }

// Is tells whether this process works in a user namespace: what it does there is not what root does.
func Is() bool { return marked }

// Mark is what the environment of a ctsim needs that is started in a user namespace.
func Mark() string { return variable + "=1" }

// needed are the capabilities that a world is built with.
var needed = []struct {
	bit  int
	name string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, // namespaces
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, // links, rules, conntrack
	{unix.CAP_NET_RAW, "CAP_NET_RAW"},     // watching packets
}

// Gain makes sure that the command can build worlds. If this process may not, the command line is run again in a user
// namespace, where it may: done is true then and code is what that run ended with. Stdin is what that run reads, nil for
// the call's own.
func Gain(ctx context.Context, inv *cmdline.Call, stdin io.Reader) (code int, done bool, err error) {
	missing, err := MissingCapabilities()
	if err != nil {
		return 0, false, err
	}
	if marked {
		return 0, false, check(inv, missing)
	}
	if os.Geteuid() == 0 && len(missing) == 0 {
		return 0, false, markForeignRoot()
	}
	child, err := start(inv, stdin)
	if err != nil {
		return 0, false, Forbidden(inv, err)
	}
	return wait(ctx, child), true, nil
}

// MissingCapabilities names what the process may not do in its user namespace.
func MissingCapabilities() ([]string, error) {
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

// check finds out whether a user namespace is of any use: where AppArmor restricts them, it can be made and all
// its capabilities seem to be there, but using one is refused.
func check(inv *cmdline.Call, missing []string) error {
	if len(missing) > 0 {
		return Forbidden(inv, errors.New("the user namespace gives no capabilities"))
	}
	ns, err := topology.NewNamespace("probe")
	if err != nil {
		return Forbidden(inv, err)
	}
	return ns.Close()
}

// markForeignRoot marks a root that is one only in a user namespace somebody else made, `unshare -Ur` for instance.
func markForeignRoot() error {
	foreign, err := ForeignRoot()
	marked = marked || foreign
	return err
}

// ForeignRoot tells whether the process is in another user namespace than the first one.
func ForeignRoot() (bool, error) {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, err
	}
	fields := strings.Fields(string(data))
	return len(fields) != 3 || fields[2] != "4294967295", nil
}

// start starts the same command line in a user, mount and network namespace of its own. It has to be called
// on the main thread, or one that lives as long as the process, because the kernel ends the child with that thread.
// Equivalent: `unshare --user --map-root-user --mount --net`.
func start(inv *cmdline.Call, stdin io.Reader) (*exec.Cmd, error) {
	child := exec.Command("/proc/self/exe")
	child.Args = inv.Args
	child.Env = append(os.Environ(), Mark())
	child.Stdin, child.Stdout, child.Stderr = inv.Stdin, inv.Stdout.Unwrap(), inv.Stderr.Unwrap()
	if stdin != nil {
		child.Stdin = stdin
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

// wait waits for the child, passes one signal on to it, and gives the exit code.
func wait(ctx context.Context, child *exec.Cmd) int {
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			if i, ok := cmdline.Interrupted(ctx); ok {
				_ = child.Process.Signal(i.Signal) // an error means that it has ended
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
		return cmdline.ExitUnsupported // its stdin or stdout could not be copied
	}
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return child.ProcessState.ExitCode()
}

// Forbidden is the error of a process that may not build worlds and, as err says, cannot go into a user namespace where
// it may: it says what is forbidden and what would help.
func Forbidden(inv *cmdline.Call, err error) error {
	missing, capErr := MissingCapabilities()
	text := explain(os.Geteuid() == 0, missing, errors.Join(err, capErr))
	if os.Geteuid() == 0 && !marked {
		return cmdline.NewExit(cmdline.ExitUnsupported, text, "in a container: docker run --privileged … "+cmdline.Join(inv.Args))
	}
	return cmdline.NewExit(cmdline.ExitUnsupported, text, inv.WithRoot())
}

// explain says why worlds cannot be built; missing are the capabilities that root lacks, none in some user namespaces.
func explain(root bool, missing []string, err error) string {
	who := "no root, and no user namespace either"
	switch {
	case root && !marked && len(missing) > 0:
		who = "root lacks " + strings.Join(missing, ", ") + ", and no user namespace could be made"
	case root && !marked:
		who = "this root is one of a user namespace, and could make none of its own"
	}
	return fmt.Sprintf("%s: %s%s", who, err, whyForbidden())
}

// whyForbidden names the setting of this machine that forbids user namespaces to users; empty if it is none of the
// known ones.
func whyForbidden() string {
	if setting, _ := doctor.UserNamespacesForbidden(); setting != "" {
		return " (" + setting + ")"
	}
	return ""
}
