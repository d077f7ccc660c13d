package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

func validateCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "check scenario files strictly, without running anything",
		ArgsUsage: "FILE…",
		Description: "Makes every check that `ctsim run` makes before it asks the kernel for anything, and lists each problem as\n" +
			"FILE:LINE:COLUMN. The file - is stdin.\n\n" +
			"   ctsim validate my.yaml\n" +
			"   cat my.yaml | ctsim validate -",
		Action: inv.validate,
	}
}

func (inv *invocation) validate(c *cli.Context) error {
	if c.NArg() == 0 {
		return inv.Usage("validate", "validate needs a file")
	}
	bad := false
	for _, file := range c.Args().Slice() {
		l, err := library.Read(inv.Call, file)
		switch {
		case err == nil:
			if err := l.TellWishes(inv.Stdout, l.Scenarios); err != nil {
				return err
			}
			_, err = fmt.Fprintf(inv.Stdout, "%s: %s, no problems\n", printable.Line(file), counted(len(l.Scenarios), "scenario"))
			if err != nil {
				return err
			}
		case isBadInput(err):
			inv.Report(err)
			bad = true
		default:
			return err
		}
	}
	if bad {
		return &cmdline.Exit{Code: cmdline.ExitUsage}
	}
	return nil
}

// isBadInput tells a file that is wrong, or is not there, from a machine that fails.
func isBadInput(err error) bool {
	var problems scenario.Problems
	var coded *cmdline.Exit
	return errors.As(err, &problems) || errors.As(err, &coded) && coded.Code == cmdline.ExitUsage
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
