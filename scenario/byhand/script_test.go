package byhand

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/internal/golden"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
)

// TestScripts: every built-in scenario whose steps have commands is a script that bash can read.
func TestScripts(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	for _, s := range builtin.Library(t).Scenarios {
		text, err := Script(builtin.Plan(t, s))
		if err != nil {
			t.Error(err)
			continue
		}
		cmd := exec.Command(bash, "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s.Name, err, out)
		}
	}
}

func TestScriptOfTheMainCase(t *testing.T) {
	text, err := Script(builtin.Plan(t, builtin.Find(t, "flush-multi-backend")))
	if err != nil {
		t.Fatal(err)
	}
	golden.Text(t, "script/flush-multi-backend.sh", text)
}

// TestScriptHasTheRulesItMayNeed: which endpoint goes is known only when the script runs, so that there are rules for
// each that may be left.
func TestScriptHasTheRulesItMayNeed(t *testing.T) {
	plan, err := builtin.Find(t, "endpoint-removed").Plan(scenario.Size{Backends: 3})
	if err != nil {
		t.Fatal(err)
	}
	text, err := Script(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"server-1 server-2 server-3", "server-2 server-3", "server-1 server-3", "server-1 server-2"} {
		if !strings.Contains(text, "\t\""+left+"\")\n\t\tcat <<'RULES'\n*") {
			t.Errorf("no rules for %s", left)
		}
	}
	if strings.Contains(text, "\t\"server-1\")") {
		t.Error("rules for endpoints that cannot be")
	}
}

// TestUnscriptable: what cannot be written as shell is said, with the step.
func TestUnscriptable(t *testing.T) {
	const head = "scenarios:\n  - name: x\n    title: x\n    world: {connections: 2}\n    steps:\n      - connect\n"
	const tail = "    expect: {outcome: survived}\n"
	for step, want := range map[string]string{
		"      - exec: {in: client, command: [x]}\n    expect: {outcome: survived, exec: [{number: 1, exit: 139}]}\n  - name: y\n    title: y\n" +
			"    steps:\n      - connect\n": "does not tell the exit code 139 from the end by signal 11",
		"      - repeat: {until: rerouted, steps: [flush]}\n":                           "with several connections, those that are re-routed",
		"      - close: client\n      - wait: {until: entry-gone, at_most: 1h}\n":       "does not know which entry is meant",
		"      - send: {connection: 2}\n":                                               "connection 2 has no client of its own",
		"      - wait: {packet: {flag: RST}}\n":                                         "no counter of the kernel tells of it: RST at client",
		"      - send: {from: server, connection: 1}\n":                                 "a server does not know its connections' numbers",
		"      - repeat: {times: 2, steps: [add-endpoints, {remove-endpoints: all}]}\n": "the endpoints change in it",
	} {
		lib, err := scenario.Parse("x.yaml", []byte(head+step+tail))
		if err != nil {
			t.Errorf("%s: %v", step, err)
			continue
		}
		_, err = Script(builtin.Plan(t, lib.Scenarios[0]))
		if cannot := (*Unscriptable)(nil); !errors.As(err, &cannot) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", step, err, want)
		}
	}
}

// TestScriptIsBounded: steps that each may mean one of many pods do not make all combinations of them.
func TestScriptIsBounded(t *testing.T) {
	lib, err := scenario.Parse("x.yaml", []byte("scenarios:\n  - name: x\n    title: x\n    world: {backends: 250}\n    steps: [connect, "+
		strings.Repeat("remove-endpoints: serving, ", 6)+"send]\n    expect: {outcome: survived}\n"))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = Script(builtin.Plan(t, lib.Scenarios[0]))
	if cannot := (*Unscriptable)(nil); !errors.As(err, &cannot) || !strings.Contains(err.Error(), "may be one of more than 1000 things") {
		t.Error(err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestScriptOfOtherPrograms: only ctsim's client and server can be told in a script what to do.
func TestScriptOfOtherPrograms(t *testing.T) {
	s := builtin.Find(t, "flush-multi-backend")
	s.World.Server.Exec = "true"
	_, err := Script(builtin.Plan(t, s))
	if cannot := (*Unscriptable)(nil); !errors.As(err, &cannot) {
		t.Errorf("%v", err)
	}
}

// TestScriptOfAStranger: a file's words are comments of the script, never commands.
func TestScriptOfAStranger(t *testing.T) {
	s := builtin.Find(t, "flush-multi-backend")
	s.Title, s.Cause = "a claim\necho injected", "why\r\necho injected\x1b[2J\n\n" // no file may have this title
	text, err := Script(builtin.Plan(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "injected") && !strings.HasPrefix(line, "# ") || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("the script has the line %q", line)
		}
	}
	if strings.Count(text, "# echo injected") != 2 {
		t.Error("the words are lost")
	}
}
