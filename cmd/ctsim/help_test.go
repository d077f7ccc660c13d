package main

import (
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// TestHelp walks all commands: each has a one-line usage, an example that is a command line of its own, and a usage for
// every flag, written as all others are.
func TestHelp(t *testing.T) {
	app := newApp(cmdline.NewCall(nil, nil, io.Discard, io.Discard))
	for _, one := range allCommands(app.Commands) {
		c, name := one.Command, one.name
		t.Run(name, func(t *testing.T) {
			sentence(t, "usage", c.Usage)
			if c.Hidden {
				return
			}
			if c.ArgsUsage == "" && strings.Contains(example(name, c), "NAME") {
				t.Error("takes operands, but ArgsUsage is empty")
			}
			if example(name, c) == "" {
				t.Errorf("no line of the description begins with `ctsim %s`", name)
			}
			for _, f := range c.Flags {
				name := f.Names()[0]
				d, ok := f.(cli.DocGenerationFlag)
				if !ok {
					t.Fatalf("--%s documents nothing", name)
				}
				sentence(t, "--"+name, strings.ReplaceAll(d.GetUsage(), "`", ""))
				if d.TakesValue() && !strings.Contains(d.GetUsage(), "`") {
					t.Errorf("--%s: the usage names no `VALUE`", name)
				}
			}
		})
	}
}

// TestExamples: every example in the help gets past the checks of the command line.
func TestExamples(t *testing.T) {
	call := cmdline.NewCall(nil, nil, io.Discard, io.Discard)
	app := newApp(call)
	for _, c := range allCommands(app.Commands) {
		for line := range strings.Lines(c.Description) {
			command, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(line), "sudo "), "ctsim ")
			if !ok || !strings.HasPrefix(line, "   ") {
				continue
			}
			command, _, _ = strings.Cut(command, " | ")
			call.Args = append([]string{"ctsim"}, strings.Fields(command)...)
			if _, err := call.Arrange(app.Commands); err != nil {
				t.Errorf("ctsim %s: %v", command, err)
			}
		}
	}
}

// named is a command with its name as typed, "lab up".
type named struct {
	*cli.Command
	name string
}

// allCommands are those of a level and of the levels below it.
func allCommands(level []*cli.Command) (all []named) {
	for _, c := range level {
		all = append(all, named{c, c.Name})
		for _, below := range allCommands(c.Subcommands) {
			all = append(all, named{below.Command, c.Name + " " + below.name})
		}
	}
	return all
}

// example is the first line of a command's description that is a command line.
func example(name string, c *cli.Command) string {
	for line := range strings.Lines(c.Description) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimSpace(line), "sudo "), "ctsim "+name) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func sentence(t *testing.T, what, s string) {
	t.Helper()
	if s == "" || s[:1] != strings.ToLower(s[:1]) || strings.HasSuffix(s, ".") {
		t.Errorf("%s: want lower case without a full stop, got %q", what, s)
	}
}
