package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

const mainCase = "flush-multi-backend"

// long tells whether the two longest tests take their long form: `make test-long`.
var long = os.Getenv("CTSIM_TEST_LONG") == "1"

// TestKernelManyRunsInARow: the main case does not depend on luck. A case that passed only if the fresh pick was another
// backend at once, as half of them are, would get through the short form once in 256 times for each caller.
func TestKernelManyRunsInARow(t *testing.T) {
	runs := 8
	if long {
		runs = 50
	}
	forEachCallerAtOnce(t, func(t *testing.T, b *binary) {
		for i := range runs {
			if stdout, stderr, code := b.Run(t, "run", mainCase); code != 0 {
				t.Errorf("run %d: exit code %d\n%s%s", i+1, code, stdout, stderr)
			}
		}
	})
}

// TestKernelRunAll: every built-in scenario ends as it says, for root; for an ordinary user one of each kind, and in the
// long form all of them.
func TestKernelRunAll(t *testing.T) {
	forEachCallerAtOnce(t, func(t *testing.T, b *binary) {
		which := []string{"--all"}
		if b.Who.UID != 0 && !long {
			which = []string{mainCase, "timeout-one-day", "udp-stale-endpoint", "nodeport-single-backend", "loose-off"}
		}
		b.pass(t, append(append([]string{"run"}, which...), "--output", "json")...)
	})
}

// TestKernelSideBySide: eight processes at once do not disturb each other.
func TestKernelSideBySide(t *testing.T) {
	forEachCallerAtOnce(t, func(t *testing.T, b *binary) {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { b.pass(t, "run", mainCase, "flush-single-backend", "--output", "json") })
		}
		group.Wait()
	})
}

// pass runs several scenarios, all of which have to pass and to say truly whether they had root.
func (b *binary) pass(t *testing.T, args ...string) {
	t.Helper()
	stdout, stderr, code := b.Run(t, args...)
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	var document struct {
		Runs []struct {
			Scenario, Verdict, Reason string
			Rootless                  bool
		}
	}
	if err := json.Unmarshal([]byte(stdout), &document); err != nil {
		t.Error(err)
	}
	if len(document.Runs) < 2 {
		t.Errorf("%d runs", len(document.Runs))
	}
	for _, r := range document.Runs {
		if r.Verdict != "pass" || r.Rootless != (b.Who.UID != 0) {
			t.Errorf("%+v", r)
		}
	}
}

// TestKernelKilledRunLeavesNothing ends runs with SIGKILL at random moments.
func TestKernelKilledRunLeavesNothing(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		began := time.Now()
		if _, stderr, code := b.Run(t, "run", mainCase); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		whole := time.Since(began)
		for range 30 {
			cmd := b.Command(context.Background(), "run", mainCase)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(whole))
			if err := cmd.Process.Kill(); err != nil {
				t.Log(err) // it was faster this time
			}
			_ = cmd.Wait()
			b.LeavesNothing(t, before)
		}
	})
}

// TestKernelInterrupted: a signal in the middle of a wait ends the run at once, with a report of what was seen. It comes
// to one process as from kill, or to the whole group as from a terminal.
func TestKernelInterrupted(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		for _, c := range []struct {
			name   string
			signal syscall.Signal
			group  bool
			code   int
		}{
			{"terminal", unix.SIGINT, true, 130},
			{"kill -INT", unix.SIGINT, false, 130},
			{"kill", unix.SIGTERM, false, 143},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := systemtest.LeavingsNow(t)
				stdout, code, took := b.interrupted(t, c.signal, c.group)
				if code != c.code || took > 5*time.Second {
					t.Errorf("exit code %d after %s, want %d at once", code, took, c.code)
				}
				for _, want := range []string{"INCONCLUSIVE timeout-multi-backend", "interrupted after", "[NEW] tcp"} {
					if !strings.Contains(stdout, want) {
						t.Errorf("the report lacks %q:\n%s", want, stdout)
					}
				}
				b.LeavesNothing(t, before)
			})
		}
	})
}

// interrupted starts a run that waits, sends the signal when it does, and tells how it ended.
func (b *binary) interrupted(t *testing.T, signal syscall.Signal, group bool) (stdout string, code int, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	defer cancel()
	cmd := b.Command(ctx, "run", "timeout-multi-backend", "--verbose")
	var out bytes.Buffer
	cmd.Stdout = &out
	systemtest.UntilWritten(t, systemtest.Started(t, cmd), "wait until")
	if len(b.Alive(t)) == 0 {
		t.Error("the mark does not find the processes of a run under way")
	}
	to := cmd.Process.Pid
	if group {
		to = -to // its own: Setpgid
	}
	began := time.Now()
	if err := unix.Kill(to, signal); err != nil {
		t.Fatal(err)
	}
	code = systemtest.ExitCode(t, cmd.Wait())
	return out.String(), code, time.Since(began)
}

// TestKernelReaderGoesAway: `ctsim run … | head` ends quietly.
func TestKernelReaderGoesAway(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = read.Close()
		cmd := b.Command(context.Background(), "run", mainCase, "--output", "jsonl")
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = write, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = write.Close()
		if code := systemtest.ExitCode(t, cmd.Wait()); code != 128+int(unix.SIGPIPE) || stderr.Len() > 0 {
			t.Errorf("exit code %d, stderr %q", code, &stderr)
		}
		b.LeavesNothing(t, before)
	})
}

// forbidden is a command line of a user who may make no user namespace.
func (b *binary) forbidden(args string) *exec.Cmd {
	// A user namespace in which the caller is an ordinary user and further ones are forbidden. The capability is for
	// writing the sysctl, which is this namespace's own.
	script := fmt.Sprintf("echo 0 >/proc/sys/user/max_user_namespaces && exec %s %s", b.Path, args)
	cmd := b.Command(context.Background())
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script}
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_RESOURCE}
	return cmd
}

// TestKernelForbidden: where users may make no user namespace, ctsim says what forbids it and how to go on.
func TestKernelForbidden(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	cmd := b.forbidden("run " + mainCase + " --connections 2 -o 'json'")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if code := systemtest.ExitCode(t, cmd.Run()); code != cmdline.ExitUnsupported || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q", code, &stdout)
	}
	for _, want := range []string{
		"ctsim: no root, and no user namespace either: ",
		"(sysctl user.max_user_namespaces is 0)\n",
		"hint: sudo " + b.Path + " run " + mainCase + " --connections 2 -o json\n",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &stderr)
		}
	}
}
