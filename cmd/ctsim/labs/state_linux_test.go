package labs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// labState is a lab in `lab list -o json`.
type labState struct {
	Name, State, Reason string
	PID                 int
	Namespaces          map[string]string
}

func (m *machine) labs(t *testing.T) (all []labState) {
	t.Helper()
	decode(t, m.Must(t, "lab", "list", "-o", "json"), &all)
	return all
}

// TestKernelLabTwoUsers: five labs each, of two users, all at the same time.
func TestKernelLabTwoUsers(t *testing.T) {
	machines := []*machine{{systemtest.NewMachine(t, systemtest.Callers[0])}, {systemtest.NewMachine(t, systemtest.Callers[1])}}
	var group sync.WaitGroup
	for i := range 5 {
		for _, m := range machines {
			group.Go(func() {
				if out, errs, code := m.Run(t, "lab", "up", fmt.Sprintf("lab-%d", i)); code != 0 {
					t.Errorf("%s: exit code %d\n%s%s", m.Who.Name, code, out, errs)
				}
			})
		}
	}
	group.Wait()
	for _, m := range machines {
		all := m.labs(t)
		for _, l := range all {
			if l.State != "up" {
				t.Errorf("%s: %+v", m.Who.Name, l)
			}
			if out := m.Must(t, "lab", "exec", "--lab", l.Name, "server-2", "--", "ip", "-o", "address"); !strings.Contains(out, "172.18.166.131") {
				t.Errorf("%s: %s: %s", m.Who.Name, l.Name, out)
			}
		}
		if len(all) != 5 {
			t.Errorf("%s has %d labs", m.Who.Name, len(all))
		}
	}
	// One name wanted by many at once: one gets it.
	var mu sync.Mutex
	codes := map[int]int{}
	for range 4 {
		group.Go(func() {
			_, _, code := machines[1].Run(t, "lab", "up", "wanted")
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	group.Wait()
	if codes[0] != 1 || codes[cmdline.ExitUsage] != 3 {
		t.Errorf("exit codes of four who want one name: %v", codes)
	}
}

// TestKernelLabAfterACrash: what is left of a lab is told by `lab list`, is refused by other commands, and is what
// `ctsim clean` takes away, and nothing else.
func TestKernelLabAfterACrash(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		m.Must(t, "lab", "up", "broken")
		m.Must(t, "lab", "up", "whole")
		// A program in a pod outlives the crash.
		orphan := m.Command(context.Background(), "lab", "exec", "--lab", "broken", "client", "--", m.Path, "server")
		out, err := orphan.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := orphan.Start(); err != nil {
			t.Fatal(err)
		}
		systemtest.UntilWritten(t, out, "listening on")
		reason := "namespace ctsim-broken-node1 is gone"
		if pid := m.labs(t)[0].PID; pid != 0 {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			reason = fmt.Sprintf("its process %d has ended", pid)
		} else {
			m.shell(t, "umount /run/netns/ctsim-broken-node1 && rm /run/netns/ctsim-broken-node1 && ip netns add ctsim-foreign")
		}
		systemtest.Eventually(t, "the crash is not told", func() any { return m.labs(t) }, func(v any) bool {
			all := v.([]labState)
			return len(all) == 2 && all[0].State == "broken" && all[0].Reason == reason && all[1].State == "up"
		})
		if _, errs, code := m.Run(t, "lab", "flush", "--lab", "broken"); code != cmdline.ExitUnsupported ||
			!strings.Contains(errs, "lab broken is broken: "+reason+"\nhint: "+m.Path+" lab down broken") {
			t.Errorf("flush: exit code %d\n%s", code, errs)
		}
		if _, errs, code := m.Run(t, "lab", "up", "broken"); code != cmdline.ExitUsage || !strings.Contains(errs, "but it is broken: "+reason) {
			t.Errorf("up: exit code %d\n%s", code, errs)
		}
		said, errs, code := m.Run(t, "clean")
		if code != 0 || said != "removed lab broken, broken: "+reason+"\n" {
			t.Errorf("clean: exit code %d\n%s%s", code, said, errs)
		}
		if code := systemtest.ExitCode(t, orphan.Wait()); code != 143 {
			t.Errorf("the program in the pod: exit code %d", code)
		}
		if out := m.Must(t, "clean"); out != "nothing to clean\n" {
			t.Errorf("clean again: %s", out)
		}
		if all := m.labs(t); len(all) != 1 || all[0].State != "up" {
			t.Errorf("labs: %+v", all)
		}
		if m.pidless(t) {
			m.checkMarks(t, errs)
		}
	})
}

// checkMarks: what carries no mark stays, and what carries it goes, whatever has become of the record. Said is what clean
// wrote to stderr.
func (m *machine) checkMarks(t *testing.T, said string) {
	t.Helper()
	if !strings.Contains(said, "network namespace ctsim-foreign does not carry ctsim's mark and stays") {
		t.Errorf("clean says nothing of ctsim-foreign: %s", said)
	}
	m.shell(t, "test -e /run/netns/ctsim-foreign && ip netns delete ctsim-foreign")
	// A record that is lost leaves namespaces that only their mark tells of.
	m.shell(t, "rm -r /run/ctsim/whole")
	if out := m.Must(t, "clean"); strings.Count(out, "of a lab that has no record\n") != 5 {
		t.Errorf("clean without a record: %s", out)
	}
	m.shell(t, "test ! -e /run/netns")
	// Killed between making a name and mounting the namespace on it.
	m.Must(t, "lab", "up", "half")
	m.shell(t, "umount /run/netns/ctsim-half-client && sed -i 's/\"complete\": true/\"complete\": false/' /run/ctsim/half/lab.json")
	if out := m.Must(t, "clean"); out != "removed lab half, broken: it was not finished\n" {
		t.Errorf("clean of half a lab: %s", out)
	}
	m.shell(t, "test ! -e /run/netns && test ! -e /run/ctsim && test ! -e /run/ctsim-netns")
}

// pidless tells whether labs need no process: root's.
func (m *machine) pidless(t *testing.T) bool { return m.labs(t)[0].PID == 0 }

// shell runs a script on the machine.
func (m *machine) shell(t *testing.T, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	defer cancel()
	if out, err := m.Other(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// TestKernelLabUpInterrupted: `lab up` that is ended by Ctrl-C at any moment leaves a whole lab or none; killed, a lab
// that is told to be broken, which `clean` takes away.
func TestKernelLabUpInterrupted(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		before := systemtest.LeavingsNow(t)
		began := time.Now()
		m.Must(t, "lab", "up")
		whole := time.Since(began)
		m.Must(t, "lab", "down")
		for i := range 8 {
			signal := []syscall.Signal{unix.SIGINT, unix.SIGKILL}[i%2]
			cmd := m.Command(context.Background(), "lab", "up")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(whole))
			_ = unix.Kill(-cmd.Process.Pid, signal) // an error means that it was faster
			code := systemtest.ExitCode(t, cmd.Wait())
			if signal == unix.SIGINT && code != 0 && code != 130 {
				t.Errorf("exit code %d", code)
			}
			if signal == unix.SIGKILL {
				m.Must(t, "clean")
			}
			all := m.labs(t)
			if len(all) > 1 || len(all) == 1 && (all[0].State != "up" || code == 130) {
				t.Errorf("%s, exit code %d: %+v", signal, code, all)
			}
			m.Must(t, "lab", "down", "--all")
			systemtest.Eventually(t, "processes are left", func() any { return m.Alive(t) }, func(v any) bool { return len(v.([]string)) == 0 })
		}
		systemtest.Eventually(t, "namespaces are left", func() any { return systemtest.LeavingsNow(t) }, func(v any) bool { return v == before })
	})
}

// TestKernelLabForeignFolder: a folder that somebody else could have written to is not believed.
func TestKernelLabForeignFolder(t *testing.T) {
	m := &machine{systemtest.NewMachine(t, systemtest.Callers[1])}
	dir := strings.TrimPrefix(m.Env[0], "XDG_RUNTIME_DIR=") + "/ctsim"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"lab", "up"}, {"lab", "list"}, {"clean"}, {"lab", "exec", "client", "--", "true"}} {
		if _, errs, code := m.Run(t, args...); code != cmdline.ExitUnsupported || !strings.Contains(errs, dir+" belongs to somebody else") {
			t.Errorf("%v: exit code %d\n%s", args, code, errs)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
}
