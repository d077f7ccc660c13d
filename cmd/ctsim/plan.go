package main

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/scenario"
)

// size is what --backends and --connections say, as far as the command has them.
func (inv *invocation) size(c *cli.Context) (s scenario.Size, err error) {
	if s.Backends, err = inv.atLeastOne(c, "backends"); err != nil {
		return s, err
	}
	s.Connections, err = inv.atLeastOne(c, "connections")
	return s, err
}

// plans settles the scenarios in a size. What does not go with the size is the flag's fault, not the file's.
func (inv *invocation) plans(c *cli.Context, scenarios []scenario.Scenario, size scenario.Size) ([]*scenario.Plan, error) {
	var out []*scenario.Plan
	for _, s := range scenarios {
		p, err := s.Plan(size)
		if err != nil {
			return nil, inv.sizeProblem(c, s.Name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// sizeProblem names the flag by which a scenario was given a size that it cannot have.
func (inv *invocation) sizeProblem(c *cli.Context, name string, err error) error {
	var wrong *scenario.SizeProblem
	if !errors.As(err, &wrong) {
		return err
	}
	return &exit{exitUsage, name + " with --" + strings.ReplaceAll(wrong.Error(), "\n", "\n"+name+" with --"), inv.program() + " " + commandName(c) + " --help"}
}
