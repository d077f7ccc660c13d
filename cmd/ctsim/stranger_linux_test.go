package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/byhand"
	"github.com/ctsim/ctsim/scenario/stranger"
)

// strangers has every field that takes words of a file's own, and that a script can have.
const strangers = `scenarios:
- name: stranger
  title: a title
  cause: why
  see: what
  cure: how
  source: where
  world:
    sysctls: {client: {net.ipv4.tcp_rmem: 4096 87380 6291456}, nodes: {net.ipv4.tcp_wmem: 4096 16384 4194304}}
  steps:
  - connect
  - send
  - sysctl: {in: client, key: net.ipv4.tcp_retries2, value: 8}
  - exec: {name: first, in: master, command: [printf, "%s", words]}
  - exec: {in: server-1, command: ["true", words], may_fail: true}
  - send
  expect:
    outcome: survived
    exec: [{name: first, output: words}]
    rules: [{rule: KUBE-SERVICES, moved: true}]
    alternatives: [{reason: another kernel, expect: {outcome: reset}}]
`

// heldToLists are the fields whose words are held against a list of the scenario's own, and those of programs, with which there
// is no script.
var heldToLists = []string{"Exec.in", "Program.env", "Program.exec", "Program.user", "SetSysctl.in", "SetSysctl.key"}

// TestKernelScriptRunsNoStrangersWords: every field that takes words of a file's own has a text that would run a command in
// whatever way a shell lets itself be made to, past the decoder, which would refuse most. The script runs to its end, and
// nothing of it ran.
func TestKernelScriptRunsNoStrangersWords(t *testing.T) {
	t.Parallel()
	b := newBinary(t, systemtest.Callers[0])
	made := filepath.Join(b.Tmp, "made")
	text := scriptOf(t, stranger.Text(made))
	if !printable.IsText(text) {
		t.Error("the script has characters that cannot be seen")
	}
	out, code := b.runText(t, text)
	if code != 0 || !strings.HasSuffix(out, "\noutcome: 1 survived\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("a command of the file's words has run")
	}
	// The test itself: what runs is seen.
	if _, _ = b.runText(t, strings.Replace(text, "\nlinks_up\n", "\nlinks_up\n: "+stranger.Text(made)+"\n", 1)); !exists(made) {
		t.Error("the test does not see that something runs")
	}
	if err := os.Remove(made); err != nil {
		t.Error(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// scriptOf is the script of the scenario with words in every field that can have them.
func scriptOf(t *testing.T, words string) string {
	t.Helper()
	parse := func() *scenario.Scenario {
		lib, err := scenario.Parse("stranger.yaml", []byte(strangers))
		if err != nil {
			t.Fatal(err)
		}
		return &lib.Scenarios[0]
	}
	s := parse()
	reached, held := map[string]bool{}, map[string]bool{}
	all := stranger.Fields(s)
	for i, f := range all {
		reached[f.Name] = true
		one := parse()
		stranger.Fields(one)[i].Set(words)
		plan, err := one.Plan(scenario.Size{})
		if err == nil {
			_, err = byhand.Script(plan)
		}
		if err != nil {
			held[f.Name] = true
			continue
		}
		f.Set(words)
	}
	for _, name := range stranger.Language() {
		unscriptable := slices.Contains([]string{"Input.line", "StartClient.input", "StartClient.printed", "Use.input"}, name)
		if !reached[name] && !unscriptable {
			t.Errorf("the scenario of this test has no %s", name)
		}
		if held[name] != slices.Contains(heldToLists, name) {
			t.Errorf("%s: refused %v", name, held[name])
		}
	}
	plan, err := s.Plan(scenario.Size{})
	if err != nil {
		t.Fatal(err)
	}
	script, err := byhand.Script(plan)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(script, "touch "); n < 50 {
		t.Errorf("the words stand in the script %d times", n)
	}
	return script
}

// runText runs a script with a sysctl that does not mind a value that is none, and gives all that it writes.
func (b *binary) runText(t *testing.T, text string) (output string, code int) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "stranger.sh")
	real, err := exec.LookPath("sysctl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sysctl"), []byte("#!/bin/sh\n"+real+" \"$@\" >/dev/null 2>&1\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bash(t), file)
	cmd.Env = append(os.Environ(), "CTSIM="+b.Path, "PATH="+dir+":"+os.Getenv("PATH"), "TMPDIR="+b.Tmp)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	code = systemtest.ExitCode(t, cmd.Run())
	return out.String(), code
}
