package library

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

// allowExec is the name of the flag that trusts a file.
const allowExec = "allow-exec"

// AllowExecFlag gives a file leave to run programs.
func AllowExecFlag() cli.Flag {
	return &cli.BoolFlag{Name: allowExec, Usage: "let --file run the programs that it names (exec), with your privileges"}
}

// MayRun is nil if none of these scenarios wants to run a program, if they are the built-in ones, or if the user has given
// leave. Else it is wrong usage, and names the programs: that a file was sent by somebody is no reason to run what it says.
func (l *Library) MayRun(inv *cmdline.Call, c *cli.Context, scenarios []scenario.Scenario) error {
	wishes := l.wishes(scenarios)
	if len(wishes) == 0 || c.Bool(allowExec) {
		return nil
	}
	const most = 10
	text := l.wants(wishes[:min(most, len(wishes))])
	if more := len(wishes) - most; more > 0 {
		text += fmt.Sprintf("\n  … and %d more", more)
	}
	return cmdline.UsageHint(inv.With("--"+allowExec)+"   # if you have read it and trust it", "%s", text)
}

// TellWishes says at the top of what is said of a file that it wants to run programs, and which.
func (l *Library) TellWishes(w io.Writer, scenarios []scenario.Scenario) error {
	wishes := l.wishes(scenarios)
	if len(wishes) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, l.wants(wishes))
	return err
}

// wishes are those of a file; the built-in scenarios are part of ctsim.
func (l *Library) wishes(scenarios []scenario.Scenario) []scenario.Wish {
	var out []scenario.Wish
	if l.file != "" {
		for _, s := range scenarios {
			out = append(out, s.Wishes()...)
		}
	}
	return out
}

// wants is a line for the file, and one for each program.
func (l *Library) wants(wishes []scenario.Wish) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s wants to run programs of its own, with the privileges of whoever runs it:", printable.Line(l.file))
	for _, w := range wishes {
		user := ""
		if w.User != "" {
			user = " as user " + cmdline.Quote(w.User)
		}
		fmt.Fprintf(&b, "\n  %s, in %s%s: %s", w.Scenario, w.At, user, cmdline.Join(w.Words))
	}
	return b.String()
}
