package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
)

// inBash is a client written in a line of bash; $O in it opens a connection on descriptor 3.
func inBash(line string) string {
	line = strings.ReplaceAll(line, "$O", "exec 3<>/dev/tcp/$SERVICE_HOST/$SERVICE_PORT")
	return "exec bash -c '" + line + "'"
}

// TestKernelTryPrograms: what programs do, and what could be taken for a success: closing too early, never sending again,
// ending well without a word, opening a connection that has nothing to do with the lost one. Each is told by its exit code,
// and by what becomes of each connection: its outcome, and why it was not tested.
func TestKernelTryPrograms(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	before := systemtest.LeavingsNow(t)
	server := b.Path + " server 0.0.0.0:$PORT"
	one := []string{"--backends", "1", "--input", "x"}
	for _, c := range []struct {
		name   string
		client string
		args   []string
		code   int
		want   []string // the word, and each connection's outcome; after a slash why it was not tested
		says   string
	}{
		{"closes before the break", inBash("$O; echo hi >&3; sleep 1; exec 3>&-"), []string{"--after", "3s"}, 4,
			[]string{"INCONCLUSIVE", "closed/" + account.ClosedBefore}, "use it again later"},
		{"closes before the break, that is what is expected", inBash("$O; echo hi >&3; sleep 1; exec 3>&-"), []string{"--after", "3s", "--expect", "closed"}, 4,
			[]string{"INCONCLUSIVE", "closed/" + account.ClosedBefore}, "use it again later"},
		{"closes before the break, and opens another after it", inBash("$O; sleep 1; exec 3>&-; read l; $O; echo $l >&3; sleep 60"),
			[]string{"--after", "3s", "--input", "x"}, 4, []string{"INCONCLUSIVE", "closed/" + account.ClosedBefore, "survived/" + account.OpenedAfter},
			"connection 2 was not tested"},
		{"never sends again", inBash("$O; echo hi >&3; read l"), []string{"--hold", "3s"}, 4, []string{"INCONCLUSIVE", "unknown"}, "Let the client use it again later: --input"},
		{"ends well without using it", inBash("$O; echo hi >&3; read l; exit 0"), one, 1, []string{"HANG", "hang"}, "FIN was never acknowledged"},
		{"is killed without using it", inBash("$O; echo hi >&3; read l; kill -9 $$"), one, 1, []string{"HANG", "hang"}, "FIN was never acknowledged"},
		{"ignores the error", inBash("$O; while read l; do echo $l >&3; done 2>/dev/null; exit 0"), []string{"--input", "x", "--hold", "5s"}, 1,
			[]string{"RESET", "reset"}, "The program did not open a new one."},
		{"uses it and closes it in order", inBash("$O; read l; echo $l >&3"), one, 0, []string{"SURVIVED", "survived"}, "and then closed in order"},
		{"loses patience, and opens a new one", inBash("$O; while read l; do echo $l >&3; read -t 1 r <&3 || { exec 3>&-; $O; }; done"),
			[]string{"--input", "x", "--fault", "loose-off"}, 0, []string{"RECONNECTED", "reconnected", "unknown"}, "the client gave it up"},
		{"opens a new one and closes it at once", inBash("$O; while read l; do echo $l >&3; read -t 1 r <&3 || { exec 3>&-; $O; exec 3>&-; }; done"),
			[]string{"--input", "x", "--fault", "loose-off", "--hold", "5s"}, 1, []string{"TIMEOUT", "timeout", "closed/" + account.OpenedAfter}, "None of the program's others is known to stand in its place"},
		{"is refused when it opens a new one", inBash("$O; read l; echo $l >&3; read -t 1 r <&3; exec 3>&-; $O; read l"),
			[]string{"--backends", "1", "--input", "x", "--fault", "endpoint-removed"}, 1, []string{"TIMEOUT", "timeout", "refused"}, "1 refused"},
		{"its entry is renewed, and it does not use it", b.Path + " client $SERVICE --keepalive-idle 60s",
			[]string{"--fault", "expire", "--timeout", "350s", "--hold", "3s"}, 4, []string{"INCONCLUSIVE", "unknown"}, "nothing was sent since it was to expire"},
		{"its entry is renewed, and it closes it unused", "(read l) | " + b.Path + " client $SERVICE --keepalive-idle 60s",
			[]string{"--fault", "expire", "--timeout", "350s", "--input", "x"}, 4, []string{"INCONCLUSIVE", "closed/" + account.ClosedUnused}, "not tested"},
		{"its entry is renewed, and it closes it unused as expected", "(read l) | " + b.Path + " client $SERVICE --keepalive-idle 60s",
			[]string{"--fault", "expire", "--timeout", "350s", "--input", "x", "--expect", "closed"}, 0, []string{"CLOSED", "closed/" + account.ClosedUnused}, "in order"},
		{"its entry is renewed, and it uses it and closes it", "(read l; echo $l) | " + b.Path + " client $SERVICE --keepalive-idle 60s",
			[]string{"--fault", "expire", "--timeout", "350s", "--input", "x"}, 0, []string{"SURVIVED", "survived"}, "closed in order"},
		{"has a second one, closed before the break", inBash("$O; exec 4<>/dev/tcp/$SERVICE_HOST/$SERVICE_PORT; sleep 1; exec 4>&-; read l; echo $l >&3; read l"),
			[]string{"--after", "3s", "--backends", "1", "--input", "x"}, 0, []string{"SURVIVED", "survived", "closed/" + account.ClosedBefore}, "connection 2 not tested"},
		{"opens others beside it for a moment", inBash("$O; while read l; do (exec 5<>/dev/tcp/$SERVICE_HOST/$SERVICE_PORT; echo q >&5; sleep 0.5); echo $l >&3; done"),
			[]string{"--input", "x", "--hold", "5s"}, 1, []string{"RESET", "reset"}, "connection 1 is dead"},
		{"opens none", inBash("read l"), []string{"--hold", "500ms"}, 3, nil, "it runs, but not so that it had a connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			args := append(append(append([]string{"try", "--report", dir}, quick...), "--client", c.client, "--server", server), c.args...)
			if strings.Contains(strings.Join(c.args, " "), "--after") { // it is given once
				args = append([]string{"try", "--report", dir, "--quiet-for", "50ms", "--client", c.client, "--server", server}, c.args...)
			}
			stdout, stderr, code := b.Run(t, args...)
			if flat := strings.Join(strings.Fields(stdout+stderr), " "); code != c.code || !strings.Contains(flat, c.says) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, c.code, c.says, stderr, stdout)
			}
			if c.want == nil {
				return
			}
			r, word := reported(t, dir)
			got := []string{word}
			for _, one := range r.Connections {
				text := string(one.Outcome)
				if one.Untested != "" {
					text += "/" + one.Untested
				}
				got = append(got, text)
			}
			if len(got) < len(c.want) || strings.Join(got[:len(c.want)], ", ") != strings.Join(c.want, ", ") || !strings.HasPrefix(stdout, word+"  took") {
				t.Errorf("%q, want %q\n%s", got, c.want, stdout)
			}
		})
	}
	b.LeavesNothing(t, before)
}

// reported is what a trial's report folder holds: the result, and the word that its text begins with.
func reported(t *testing.T, dir string) (r result.Result, word string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "try", "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "try", "result.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	page, pageErr := os.ReadFile(filepath.Join(dir, "try", "report.html"))
	if err != nil || pageErr != nil {
		t.Fatal(err, pageErr)
	}
	word, _, _ = strings.Cut(string(text), " ")
	if !strings.Contains(string(page), "<title>try: "+strings.ToLower(word)+" ") {
		t.Errorf("the text says %s, the page does not", word)
	}
	return r, word
}

// TestKernelTryLuck: with two backends, a program that uses its connection once and closes it is reset or spared, by luck; a
// success it never is.
func TestKernelTryLuck(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	seen := map[int]int{}
	for range 6 {
		r, code := b.tried(t, "--client", inBash("$O; read l; echo $l >&3"), "--server", b.Path+" server 0.0.0.0:$PORT", "--input", "x")
		seen[code]++
		if want := map[account.Outcome]int{account.Reset: 1, account.Survived: 4}[r.Connections[0].Outcome]; code != want {
			t.Errorf("%s, exit code %d, want %d: %s", r.Connections[0].Outcome, code, want, r.Reason)
		}
	}
	t.Logf("exit codes: %v", seen)
}

// TestKernelTryServerEnds: a server that ends its side once it has read what was sent after the break takes nothing more, and
// one that drops the connection then has reset it: no keepalive helps against either. One that drops it before leaves
// nothing to break.
func TestKernelTryServerEnds(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	ends := func(how string) string { // ctsim's server drops its connections when it is told to end
		return b.Path + " server 0.0.0.0:$PORT >said & while ! grep -q bye said; do sleep 0.05; done; " + how + " $!"
	}
	client := inBash("$O; while read l; do echo $l >&3; done")
	for _, c := range []struct {
		name, server string
		args         []string
		code         int
		says, not    string
	}{
		{"killed after", ends("kill -9"), []string{"--input", "bye", "--after", "1s"}, 1, "EPIPE", "KEEPALIVE"},
		{"drops it after", ends("sleep 0.2; kill"), []string{"--input", "bye", "--after", "1s"}, 1, "RESET", "KEEPALIVE"},
		{"drops it before", ends("sleep 1; kill"), []string{"--first", "bye", "--input", "x", "--after", "3s"}, 4, "it was lost before the break", "cure"},
		{"drops it before, and a reset is expected", ends("sleep 1; kill"), []string{"--first", "bye", "--input", "x", "--after", "3s", "--expect", "reset"}, 4,
			"it was lost before the break", "cure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"try", "--backends", "1", "--client", client, "--server", c.server, "--quiet-for", "500ms", "--hold", "5s"}
			stdout, stderr, code := b.Run(t, append(args, c.args...)...)
			if flat := strings.Join(strings.Fields(stdout), " "); code != c.code || !strings.Contains(flat, c.says) || strings.Contains(flat, c.not) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, c.code, c.says, stderr, stdout)
			}
		})
	}
}
