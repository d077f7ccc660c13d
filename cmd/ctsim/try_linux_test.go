package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
)

// quick are flags that keep a trial short where nothing depends on how long the connection is idle.
var quick = []string{"--after", "10ms", "--quiet-for", "50ms"}

// try runs a trial and gives its result.
func (b *binary) try(t *testing.T, code int, args ...string) result.Result {
	t.Helper()
	r, got := b.tried(t, args...)
	if got != code {
		t.Fatalf("%v: exit code %d, want %d: %s", args, got, code, r.Reason)
	}
	return r
}

// tried is try with whatever exit code.
func (b *binary) tried(t *testing.T, args ...string) (r result.Result, code int) {
	t.Helper()
	args = append(append([]string{"try", "--output", "json"}, quick...), args...)
	stdout, stderr, code := b.Run(t, args...)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: exit code %d: %v\n%s\n%s", args, code, err, stderr, stdout)
	}
	return r, code
}

// TestKernelTry: ctsim's own client and server as programs that the trial knows nothing of.
func TestKernelTry(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		client, server := b.Path+" client $SERVICE", b.Path+" server 0.0.0.0:$PORT"
		for _, c := range []struct {
			name    string
			code    int
			outcome account.Outcome
			noticed string
			args    []string
		}{
			{"reset", 1, account.Reset, "client", []string{"--client", client, "--server", server, "--input", "hello"}},
			{"reset expected", 0, account.Reset, "client", []string{"--client", client, "--input", "hello", "--expect", "reset"}},
			{"one backend", 0, account.Survived, "", []string{"--client", client, "--server", server, "--input", "hello", "--backends", "1"}},
			{"by itself", 1, account.Reset, "client", []string{"--client", "(sleep 0.3; while echo x; do sleep 0.2; done) | " + client,
				"--server", server}},
			{"expired", 1, account.Reset, "client", []string{"--client", client, "--server", server, "--input", "hello",
				"--fault", "expire", "--timeout", "350s"}},
			{"kept", 0, account.Survived, "", []string{"--client", client + " --keepalive-idle 60s", "--server", server, "--input", "hello",
				"--fault", "expire", "--timeout", "350s"}},
			{"reconnected", 0, account.Reconnected, "client", []string{"--client", "while :; do " + client + " --receive; done",
				"--server", server, "--input", "hello"}},
			{"hang", 1, account.Hang, account.Nobody, []string{"--client", client, "--server", server, "--input", "hello", "--fault", "loose-off",
				"--hold", "1s"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				r := b.try(t, c.code, c.args...)
				got := r.Connections[0]
				if got.Outcome != c.outcome || got.NoticedBy != c.noticed {
					t.Errorf("%s noticed by %q, want %s by %q: %s", got.Outcome, got.NoticedBy, c.outcome, c.noticed, r.Reason)
				}
				if got.ClientSocket == nil || got.ClientSocket.KeepAlive != (c.name == "kept") {
					t.Errorf("the client's socket: %+v", got.ClientSocket)
				}
			})
		}
		b.LeavesNothing(t, before)
	})
}

// TestKernelTryFailures: what programs can do wrong is said, with their last words, and nothing is left of them.
func TestKernelTryFailures(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	before := systemtest.LeavingsNow(t)
	client := b.Path + " client $SERVICE"
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"no such command", []string{"--client", "no-such-command-anywhere"},
			[]string{"exit code 127 (command not found) before it had a connection", "client| ", "hint: the program starts in a HOME of its own"}},
		{"server ends", []string{"--client", client, "--server", "echo cannot >&2; exit 3"},
			[]string{"exit code 3 before it listened on port 2222", "server-1| cannot", "hint: the server has to listen on port $PORT (2222)"}},
		{"client does not connect", []string{"--client", "sleep 1000", "--hold", "200ms"}, []string{"it runs, but not so that it had a connection"}},
		{"no such user", []string{"--client", client, "--user", "nosuchuser"}, []string{"user nosuchuser: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := b.Run(t, append([]string{"try"}, c.args...)...)
			if code != cmdline.ExitUnsupported || stdout != "" {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is missing in\n%s", want, stderr)
				}
			}
		})
	}
	// A client that is never used again leaves the question open.
	if _, stderr, code := b.Run(t, "try", "--client", client, "--after", "0s", "--hold", "1s", "--quiet-for", "50ms"); code != cmdline.ExitInconclusive {
		t.Errorf("never used: exit code %d: %s", code, stderr)
	}
	b.LeavesNothing(t, before)
}

// TestKernelTryKilled: nothing survives a ctsim that is killed, not even what its programs have left behind.
func TestKernelTryKilled(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		cmd := b.Command(context.Background(), "try", "--verbose", "--client",
			"trap '' TERM; setsid sleep 1000 & echo here; "+b.Path+" client $SERVICE")
		systemtest.UntilWritten(t, systemtest.Started(t, cmd), "client stdout| here")
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		b.LeavesNothing(t, before)
	})
}

// TestKernelTryOutput: a program's output is in the report folder, with times; one that ignores SIGTERM is said to.
func TestKernelTryOutput(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	dir := t.TempDir()
	args := append([]string{"try", "--report", dir, "--input", "hello", "--hold", "2s"}, quick...)
	stdout, _, _ := b.Run(t, append(args, "--client", "trap '' TERM; echo begun; "+b.Path+" client $SERVICE; while :; do sleep 1; done")...)
	if !strings.Contains(stdout, "client: killed: it ignored SIGTERM") {
		t.Error(stdout)
	}
	text, err := os.ReadFile(filepath.Join(dir, "try", "output.txt"))
	if err != nil || !bytes.Contains(text, []byte("Z client stdout| begun\n")) {
		t.Errorf("%v: %s", err, text)
	}
}
