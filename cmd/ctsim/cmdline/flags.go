package cmdline

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// OutputFlag chooses among formats, the first of which is the default.
func OutputFlag(formats ...string) cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: formats[0], Usage: "write `FORMAT`: " + strings.Join(formats, ", ")}
}

// Choice is the value of a flag that has to be one of a few words; an empty one is accepted if it is the default.
func (inv *Call) Choice(c *cli.Context, flag string, words ...string) (string, error) {
	value := c.String(flag)
	if slices.Contains(words, value) || value == "" && !c.IsSet(flag) {
		return value, nil
	}
	if near := strictyaml.Nearest(value, words); near != "" {
		return "", UsageHint(inv.Retyped(value, near), "--%s %s: expected %s", flag, Quote(value), strings.Join(words, ", "))
	}
	return "", inv.Usage(CommandName(c), "--%s %s: expected %s", flag, Quote(value), strings.Join(words, ", "))
}

// NotEmpty makes sure that what was given with flags names something, which "$UNSET" does not.
func (inv *Call) NotEmpty(c *cli.Context, flags ...string) error {
	for _, flag := range flags {
		if c.IsSet(flag) && c.String(flag) == "" {
			return inv.Usage(CommandName(c), "--%s is empty, expected a name", flag)
		}
	}
	return nil
}

// AtLeastOne is the value of a number flag that was given; 0 if it was not.
func (inv *Call) AtLeastOne(c *cli.Context, flag string) (int, error) {
	n := c.Int(flag)
	if c.IsSet(flag) && n < 1 {
		return 0, inv.Usage(CommandName(c), "--%s %d: expected 1 or more", flag, n)
	}
	return n, nil
}

// NoOperand is an action that takes flags only.
func (inv *Call) NoOperand(do cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() > 0 {
			name := CommandName(c)
			return inv.Usage(name, "%s takes no operand, got %q", name, c.Args().First())
		}
		return do(c)
	}
}

// CommandName is the command as typed after the program, with the one above it: "lab up".
func CommandName(c *cli.Context) string {
	_, name, _ := strings.Cut(c.Command.HelpName, " ")
	return name
}
