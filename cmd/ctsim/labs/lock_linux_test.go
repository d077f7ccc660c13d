package labs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// TestKernelLabLockIsPrivate: nobody but a lab's user can hold its lock, whatever file of the record another user tries.
func TestKernelLabLockIsPrivate(t *testing.T) {
	t.Parallel()
	forEachMachine(t, func(t *testing.T, m *machine) {
		t.Parallel()
		if !systemtest.Mapped(t, stranger) {
			t.Skip("there are no other users in this user namespace")
		}
		m.Must(t, "lab", "up", "mine")
		store := m.store()
		// As in a record of an older ctsim; the lab commands close it again.
		m.shell(t, "chmod 755 "+store+"/mine")
		m.Must(t, "lab", "flush", "--lab", "mine")
		m.Must(t, "lab", "backends", "add", "--lab", "mine")
		for _, path := range []string{"mine", "mine/lab.json"} {
			cmd := m.Other(t.Context(), "setpriv", fmt.Sprintf("--reuid=%d", stranger), "--clear-groups", "flock", "--nonblock", store+"/"+path, "true")
			cmd.SysProcAttr.Credential = nil // root's, who may become the stranger
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
				t.Errorf("a stranger can lock %s: %v %s", path, err, out)
			}
		}
		m.Must(t, "lab", "down", "mine")
	})
}

// store is the folder of the user's labs.
func (m *machine) store() string {
	if m.Who.UID == 0 {
		return "/run/ctsim"
	}
	return strings.TrimPrefix(m.Env[0], "XDG_RUNTIME_DIR=") + "/ctsim"
}

// TestKernelLabWaits: a command that has to wait for a lab says for whom, ends with Ctrl-C, and goes on when it is let.
func TestKernelLabWaits(t *testing.T) {
	t.Parallel()
	forEachMachine(t, func(t *testing.T, m *machine) {
		t.Parallel()
		m.Must(t, "lab", "up", "busy")
		holder := m.Other(context.Background(), "flock", "--no-fork", m.store()+"/busy", "sh", "-c", "echo ready; exec cat")
		out, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdin, err := holder.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stdin.Close(); _ = holder.Wait() }()
		systemtest.UntilWritten(t, out, "ready\n")
		want := fmt.Sprintf("ctsim: lab busy is locked by process %d (cat); waiting for it", holder.Process.Pid)
		for _, args := range [][]string{{"lab", "down", "busy"}, {"lab", "backends", "add", "--lab", "busy"}} {
			cmd := m.Command(t.Context(), args...)
			errs := bufio.NewReader(systemtest.Started(t, cmd))
			if line, err := errs.ReadString('\n'); strings.TrimSpace(line) != want {
				t.Errorf("%v says %q (%v), want %q", args, line, err, want)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if code := systemtest.ExitCode(t, cmd.Wait()); code != 130 || time.Since(began) > 5*time.Second {
				t.Errorf("%v: exit code %d, %s after Ctrl-C", args, code, time.Since(began))
			}
		}
		if all := m.labs(t); len(all) != 1 || all[0].State != "up" {
			t.Errorf("the lab is %+v", all)
		}
		cmd := m.Command(t.Context(), "lab", "down", "busy")
		systemtest.UntilWritten(t, systemtest.Started(t, cmd), want)
		if err := unix.Kill(holder.Process.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("when the lab is free: %v", err)
		}
	})
}
