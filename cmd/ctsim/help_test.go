package main

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestHelp walks all commands: each has a one-line usage, an example that is a command line of its own, and a usage for
// every flag, written as all others are.
func TestHelp(t *testing.T) {
	inv := &invocation{args: []string{"ctsim"}}
	app := inv.app()
	for _, c := range app.Commands {
		t.Run(c.Name, func(t *testing.T) {
			sentence(t, "usage", c.Usage)
			if c.Hidden {
				return
			}
			if c.ArgsUsage == "" && strings.Contains(example(c), "NAME") {
				t.Error("takes operands, but ArgsUsage is empty")
			}
			if example(c) == "" {
				t.Errorf("no line of the description begins with `ctsim %s`", c.Name)
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
	inv := &invocation{}
	app := inv.app()
	for _, c := range app.Commands {
		for line := range strings.Lines(c.Description) {
			command, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(line), "sudo "), "ctsim ")
			if !ok || !strings.HasPrefix(line, "   ") {
				continue
			}
			command, _, _ = strings.Cut(command, " | ")
			inv.args = append([]string{"ctsim"}, strings.Fields(command)...)
			if _, err := inv.arrange(app.Commands); err != nil {
				t.Errorf("ctsim %s: %v", command, err)
			}
		}
	}
}

// example is the first line of a command's description that is a command line.
func example(c *cli.Command) string {
	for line := range strings.Lines(c.Description) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimSpace(line), "sudo "), "ctsim "+c.Name) {
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
