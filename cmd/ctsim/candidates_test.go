package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// next are the words that can come in place of the last.
func next(words ...string) []string {
	inv := &invocation{cmdline.NewCall(nil, strings.NewReader(""), io.Discard, io.Discard)}
	var all []string
	for _, c := range inv.candidates(newApp(inv.Call).Commands, words) {
		all = append(all, c.word)
	}
	return all
}

// everyCommand walks all commands, those below others too, with the words that lead there.
func everyCommand(f func(path []string, c *cli.Command)) {
	var walk func([]string, []*cli.Command)
	walk = func(above []string, level []*cli.Command) {
		for _, c := range level {
			if path := append(slices.Clone(above), c.Name); !c.Hidden {
				f(path, c)
				walk(path, c.Subcommands)
			}
		}
	}
	walk(nil, newApp(cmdline.NewCall(nil, nil, io.Discard, io.Discard)).Commands)
}

// TestCompleteAll: every command and every flag of the help can be completed, and what they are is said.
func TestCompleteAll(t *testing.T) {
	everyCommand(func(path []string, c *cli.Command) {
		if !slices.Contains(next(path...), c.Name) {
			t.Errorf("%v is not completed", path)
		}
		for _, f := range c.Flags {
			name := "--" + f.Names()[0]
			if !slices.Contains(next(append(slices.Clone(path), name)...), name) {
				t.Errorf("%v: %s is not completed", path, name)
			}
		}
	})
}

func TestComplete(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.yaml")
	scenario := "scenarios:\n  - {name: mine, title: t, steps: [connect], expect: {outcome: survived}}\n"
	if err := os.WriteFile(file, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"ru":                               "run",
		"vers":                             "version",
		"__c":                              "",
		"help vers":                        "version",
		"nothing ru":                       "run",
		"--vers":                           "--version",
		"run flush-mu":                     "flush-multi-backend",
		"run flush-multi-backend flush-mu": "",
		"run --all --outp":                 "--output",
		"run --output json --outp":         "",
		"run --output ":                    "text json jsonl markdown",
		"run --output=js":                  "--output=json --output=jsonl",
		"run -o js":                        "json jsonl",
		"run --iptables ":                  "nft legacy",
		"run --color a":                    "auto always",
		"run --backends ":                  "",
		"run --backends 3 flush-mu":        "flush-multi-backend",
		"run -- --outp":                    "",
		"run --report ou":                  ":dirs",
		"run --report=ou":                  ":dirs",
		"run --nothing=x":                  "",
		"run -f " + file + " ":             "mine",
		"run --file=" + file + " m":        "mine",
		"run -f missing.yaml ":             "",
		"run -f - ":                        "",
		"list -f my":                       ":files",
		"validate my":                      ":files",
		"validate a.yaml my":               ":files",
		"schema ":                          "",
		"doctor bp":                        "bpf",
		"doctor bpf bt":                    "btf",
		"completion ":                      "bash zsh fish",
		"completion bash ":                 "",
		"show --rules --b":                 "--backends",
	} {
		if got := strings.Join(next(strings.Split(typed, " ")...), " "); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
	if got := next(); !slices.Contains(got, "run") || !slices.Contains(got, "help") {
		t.Errorf("nothing typed: %v", got)
	}
}

// TestValuesAreAccepted: the words that help lists for the value of a flag are those that the command takes.
func TestValuesAreAccepted(t *testing.T) {
	for _, words := range [][]string{
		{"run", "flush-multi-backend", "--all", "--output"}, {"run", "flush-multi-backend", "--all", "--color"},
		{"run", "flush-multi-backend", "--all", "--iptables"}, {"list", "x", "--output"}, {"version", "x", "--output"},
		{"doctor", "x", "--output"},
	} {
		for _, value := range next(append(slices.Clone(words), "")...) {
			var stderr strings.Builder
			run(t.Context(), slices.Concat([]string{"ctsim"}, words, []string{value}), strings.NewReader(""), io.Discard, &stderr)
			if strings.Contains(stderr.String(), "expected") {
				t.Errorf("%v %s: %s", words, value, &stderr)
			}
		}
	}
}
