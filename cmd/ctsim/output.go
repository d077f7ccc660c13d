package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/report"
)

func outputFlag(formats ...string) cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: formats[0], Usage: "write `FORMAT`: " + strings.Join(formats, ", ")}
}

// choice is the value of a flag that has to be one of a few words; an empty one is accepted if it is the default.
func (inv *invocation) choice(c *cli.Context, flag string, words ...string) (string, error) {
	value := c.String(flag)
	if slices.Contains(words, value) || value == "" && !c.IsSet(flag) {
		return value, nil
	}
	if near := strictyaml.Nearest(value, words); near != "" {
		return "", usageHint(inv.retyped(value, near), "--%s %s: expected %s", flag, quote(value), strings.Join(words, ", "))
	}
	return "", inv.usage(commandName(c), "--%s %s: expected %s", flag, quote(value), strings.Join(words, ", "))
}

// atLeastOne is the value of a number flag that was given; 0 if it was not.
func (inv *invocation) atLeastOne(c *cli.Context, flag string) (int, error) {
	n := c.Int(flag)
	if c.IsSet(flag) && n < 1 {
		return 0, inv.usage(commandName(c), "--%s %d: expected 1 or more", flag, n)
	}
	return n, nil
}

// commandName is the command as typed after the program, with the one above it: "lab up".
func commandName(c *cli.Context) string {
	_, name, _ := strings.Cut(c.Command.HelpName, " ")
	return name
}

// terminalWidth is the number of columns of the terminal that w writes to; false if it is not a terminal.
func terminalWidth(w io.Writer) (columns int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = report.DefaultWidth
	}
	return columns, true
}

// coloured tells whether what is written to stdout has colours: as asked for, or on a terminal that knows them and
// whose user has not said otherwise (https://no-color.org).
func (inv *invocation) coloured(when string) bool {
	switch when {
	case "always":
		return true
	case "never":
		return false
	}
	_, isTerminal := terminalWidth(inv.stdout)
	return isTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
