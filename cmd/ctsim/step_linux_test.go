package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// stepping is a `run --step` whose stdin is a pipe and that a test talks with.
type stepping struct {
	t      *testing.T
	stdin  io.WriteCloser
	stderr *bufio.Scanner
	stdout *strings.Builder
	cmd    *exec.Cmd
}

func (b *binary) stepThrough(t *testing.T, args ...string) *stepping {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	t.Cleanup(cancel)
	s := &stepping{t: t, cmd: b.Command(ctx, append([]string{"run", "--step"}, args...)...), stdout: &strings.Builder{}}
	s.cmd.Stdout = s.stdout
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin, s.stderr = stdin, bufio.NewScanner(stderr)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// until reads what is said until a line begins with the text, and gives that line.
func (s *stepping) until(begin string) string {
	s.t.Helper()
	var all []string
	for s.stderr.Scan() {
		line := s.stderr.Text()
		if all = append(all, line); strings.HasPrefix(line, begin) {
			return line
		}
	}
	s.t.Fatalf("it did not say %q:\n%s", begin, strings.Join(all, "\n"))
	return ""
}

func (s *stepping) say(line string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.stdin, line); err != nil {
		s.t.Fatal(err)
	}
}

// end closes stdin and gives the exit code.
func (s *stepping) end() int {
	s.t.Helper()
	if err := s.stdin.Close(); err != nil {
		s.t.Fatal(err)
	}
	for more := true; more; more = s.stderr.Scan() {
	}
	return systemtest.ExitCode(s.t, s.cmd.Wait())
}

// TestKernelStep: a run waits before each step, says what a person would type, shows the world, and lets others in by
// the command that it prints.
func TestKernelStep(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		s := b.stepThrough(t, "flush-multi-backend", "--output", "json")
		s.until("step 1/4  connect to the service")
		s.until("  by hand, in client: ctsim client 10.108.33.37:2222")
		s.say("skip")
		s.until("this step cannot be left out")
		s.say("")
		s.until("step 2/4  client sends 10 bytes")
		s.say("table master")
		s.until("tcp      6 86")
		s.say("sockets client")
		s.until("tcp        0      0 172.18.219.65:")
		s.say("rules node1")
		s.until("*nat")
		s.say("exec client cat /proc/net/dev")
		s.until("  eth0:")
		s.say("exec nowhere true")
		s.until(`no pod or node "nowhere"`)

		s.say("enter client")
		prefix := strings.TrimSuffix(s.until("nsenter "), " …")
		if out := b.inAnotherTerminal(t, prefix+" cat /proc/net/fib_trie"); !strings.Contains(out, "172.18.219.65") {
			t.Errorf("%s is not in the pod:\n%.300s", prefix, out)
		}

		s.say("step")
		s.until("step 3/4  repeat until")
		s.say("")
		s.until("step 3/4, 1 of round 1  flush")
		for _, node := range []string{"master", "node1"} {
			s.until("  by hand, in " + node + ": conntrack -F")
			b.inAnotherTerminal(t, strings.TrimPrefix(s.until("           here: "), "           here: "))
		}
		s.say("skip")
		s.until("step 3/4, 2 of round 1  client sends")
		s.say("continue")
		if code := s.end(); code != cmdline.ExitPass {
			t.Errorf("exit code %d, %q", code, s.stdout)
		}
		for _, want := range []string{`"done by hand: flush`, `"by": "deleted by a caller`} {
			if !strings.Contains(s.stdout.String(), want) {
				t.Errorf("the result lacks %s", want)
			}
		}
		b.LeavesNothing(t, before)
	})
}

// TestKernelStepLegacy: what is printed to be pasted works on the rules that the run has put in, not on those of the other
// kind of iptables, and without root too.
func TestKernelStepLegacy(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		s := b.stepThrough(t, "endpoint-removed", "--iptables", "legacy", "--quiet")
		for _, step := range []string{"step 1/7  connect", "step 2/7  client sends"} {
			s.until(step)
			s.say("")
		}
		s.until("step 3/7  remove the connection's endpoint")
		b.inAnotherTerminal(t, strings.TrimPrefix(s.until("           here: "), "           here: "))
		s.say("continue")
		if code := s.end(); code != cmdline.ExitPass {
			t.Errorf("exit code %d, %q", code, s.stdout)
		}
	})
}

// inAnotherTerminal runs a command line as the same user and gives what it printed.
func (b *binary) inAnotherTerminal(t *testing.T, line string) string {
	t.Helper()
	cmd := b.Command(t.Context(), "")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", line}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// TestKernelStepEnds: at the end of stdin the run goes on; quit ends it with what was seen.
func TestKernelStepEnds(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	before := systemtest.LeavingsNow(t)
	s := b.stepThrough(t, "flush-single-backend", "--quiet")
	s.until("step 1/")
	if code := s.end(); code != cmdline.ExitPass {
		t.Errorf("end of stdin: exit code %d", code)
	}
	s = b.stepThrough(t, "flush-single-backend", "--quiet")
	s.until("step 1/")
	s.say("quit")
	if code := s.end(); code != cmdline.ExitInconclusive || !strings.HasPrefix(s.stdout.String(), "INCONCLUSIVE") {
		t.Errorf("quit: exit code %d, %q", code, s.stdout)
	}
	b.LeavesNothing(t, before)
}
