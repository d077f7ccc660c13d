package labs

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/internal/kerneltest"
)

// rootMachine is a machine for a test that runs beside others.
func rootMachine(t *testing.T) *machine {
	t.Helper()
	t.Parallel()
	return &machine{systemtest.NewMachine(t, systemtest.Callers[0])}
}

// TestKernelCleanSaysWhatIsGone: what cannot be removed is an error, and is never said to be removed.
func TestKernelCleanSaysWhatIsGone(t *testing.T) {
	m := rootMachine(t)
	before := m.files(t)
	m.Must(t, "lab", "up", "half")
	m.shell(t, `sed -i 's/"complete": true/"complete": false/' /run/ctsim/half/lab.json`)
	m.started(t, 0, nil, "sh", "-c", "cd /run/netns; echo ready; exec cat")
	out, errs, code := m.Run(t, "clean")
	if code != cmdline.ExitUnsupported || out != "removed lab half, broken: it was not finished\n" ||
		errs != "ctsim: the folder /run/netns: unmount /run/netns: device or resource busy\n" {
		t.Errorf("clean of a folder that is in use: exit code %d\n%s%s", code, out, errs)
	}
	if again, _, code := m.Run(t, "clean"); code != cmdline.ExitUnsupported || again != "" {
		t.Errorf("clean again: exit code %d\n%s", code, again)
	}
	// A folder in the store that holds what ctsim never makes stays as it is.
	m.shell(t, "cd /run/netns; umount -l /run/netns; mkdir -p /run/ctsim/notes; touch /run/ctsim/notes/mine")
	out, errs, code = m.Run(t, "clean")
	if code != cmdline.ExitUnsupported || out != "removed the folder /run/netns, made for a lab\n" ||
		errs != "ctsim: the record of lab notes: /run/ctsim/notes holds mine, which is not ctsim's\n" {
		t.Errorf("clean of a folder of somebody's: exit code %d\n%s%s", code, out, errs)
	}
	m.shell(t, "rm -r /run/ctsim/notes/mine")
	if out := m.Must(t, "clean"); !strings.HasPrefix(out, "removed the record of lab notes, it cannot be read: ") {
		t.Errorf("clean of an empty folder: %s", out)
	}
	if now := m.files(t); now != before {
		t.Errorf("there is\n%s\nand was\n%s", now, before)
	}
}

// TestKernelLabLeavesAFolderThatWasThere: /run/netns is taken away only by who has made it.
func TestKernelLabLeavesAFolderThatWasThere(t *testing.T) {
	m := rootMachine(t)
	for _, ready := range []string{"mkdir /run/netns", "mount --bind /run/netns /run/netns", "touch /run/netns/ctsim-note"} {
		m.shell(t, ready)
		before := m.files(t)
		m.Must(t, "lab", "up")
		m.Must(t, "lab", "down")
		if now := m.files(t); now != before {
			t.Errorf("%s: there is\n%s\nand was\n%s", ready, now, before)
		}
	}
}

// TestKernelCleanBesideRootsLab: an ordinary user's killed `lab up` is cleaned though root has a lab of that name.
func TestKernelCleanBesideRootsLab(t *testing.T) {
	m := rootMachine(t)
	if !systemtest.Mapped(t, stranger) {
		t.Skip("there are no other users in this user namespace")
	}
	m.Must(t, "lab", "up")
	m.shell(t, "mkdir -m 700 /run/user-12345 && chown 12345:12345 /run/user-12345")
	user := func(words ...string) []string {
		return append([]string{"setpriv", fmt.Sprintf("--reuid=%d", stranger), fmt.Sprintf("--regid=%d", stranger), "--clear-groups",
			"env", "XDG_RUNTIME_DIR=/run/user-12345", m.Path}, words...)
	}
	up := func(n int) kerneltest.Traced {
		return kerneltest.KillAt(t, m.Other(context.Background(), user("lab", "up")...), n)
	}
	calls := len(up(0).Calls)
	if out, err := m.Other(t.Context(), user("lab", "down")...).CombinedOutput(); err != nil {
		t.Fatalf("lab down: %v\n%s", err, out)
	}
	up(calls - 2) // the record is not complete yet
	if out, err := m.Other(t.Context(), user("clean")...).CombinedOutput(); err != nil || string(out) != "removed lab default, broken: it was not finished\n" {
		t.Errorf("clean: %v\n%s", err, out)
	}
	if all := m.labs(t); len(all) != 1 || all[0].State != "up" {
		t.Errorf("root's lab is %+v", all)
	}
}

// TestKernelBackendsAddKilled: a server pod that was half made is none, and can be made again.
func TestKernelBackendsAddKilled(t *testing.T) {
	m := rootMachine(t)
	before := m.files(t)
	m.Must(t, "lab", "up")
	add := func(n int) kerneltest.Traced {
		return kerneltest.KillAt(t, m.Command(context.Background(), "lab", "backends", "add"), n)
	}
	calls := add(0).Calls
	for n := range len(calls) {
		traced := add(n + 1)
		where := fmt.Sprintf("killed at call %d of %q", n+1, traced.Calls)
		if out, errs, code := m.Run(t, "lab", "backends", "add"); code != 0 {
			t.Fatalf("%s: the next one: exit code %d\n%s%s", where, code, out, errs)
		}
		if out, errs, _ := m.Run(t, "clean"); out != "nothing to clean\n" || errs != "" {
			t.Errorf("%s: clean: %s%s", where, out, errs)
		}
		if n%2 == 0 { // with one that nobody has tried to make again
			add(len(calls) - 2)
			m.Must(t, "lab", "down")
			if now := m.files(t); now != before {
				t.Fatalf("%s: there is\n%s\nand was\n%s", where, now, before)
			}
			m.Must(t, "lab", "up")
		}
	}
	t.Logf("killed at each of %q", calls)
}
