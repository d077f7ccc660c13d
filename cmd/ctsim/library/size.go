package library

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/scenario"
)

// SizeOf is what --backends and --connections say, as far as the command has them.
func SizeOf(inv *cmdline.Call, c *cli.Context) (s scenario.Size, err error) {
	if s.Backends, err = inv.AtLeastOne(c, "backends"); err != nil {
		return s, err
	}
	s.Connections, err = inv.AtLeastOne(c, "connections")
	return s, err
}

// Plans settles the scenarios in a size. What does not go with the size is the flag's fault, not the file's.
func Plans(inv *cmdline.Call, c *cli.Context, scenarios []scenario.Scenario, size scenario.Size) ([]*scenario.Plan, error) {
	var out []*scenario.Plan
	for _, s := range scenarios {
		p, err := s.Plan(size)
		if err != nil {
			return nil, SizeProblem(inv, c, s.Name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// SizeProblem names the flag by which a scenario was given a size that it cannot have.
func SizeProblem(inv *cmdline.Call, c *cli.Context, name string, err error) error {
	var wrong *scenario.SizeProblem
	if !errors.As(err, &wrong) {
		return err
	}
	return inv.Usage(cmdline.CommandName(c), "%s with --%s", name, strings.ReplaceAll(wrong.Error(), "\n", "\n"+name+" with --"))
}
