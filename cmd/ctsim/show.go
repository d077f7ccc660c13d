package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

func showCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "tell what a scenario does and what it expects, without running it",
		ArgsUsage: "NAME…",
		Description: "Draws the scenario's world and lists its steps and expectations. With --rules it prints the rules of the\n" +
			"client's node as iptables-save would show them there. Neither needs any privilege.\n\n" +
			"   ctsim show flush-multi-backend\n" +
			"   ctsim show flush-multi-backend --backends 5\n" +
			"   ctsim show flush-multi-backend --rules --backends 5",
		Flags: []cli.Flag{
			fileFlag(),
			&cli.BoolFlag{Name: "rules", Usage: "print the rules of the client's node"},
			&cli.IntFlag{Name: "backends", Usage: "show it with `N` server pods instead of the scenario's own number", DefaultText: "as the scenario says"},
		},
		Action: inv.show,
	}
}

func (inv *invocation) show(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageHint(inv.program()+" list", "show needs the name of a scenario")
	}
	n, err := inv.atLeastOne(c, "backends")
	if err != nil {
		return err
	}
	l, err := inv.load(c.String("file"))
	if err != nil {
		return err
	}
	scenarios, err := inv.find(l, c.Args().Slice())
	if err != nil {
		return err
	}
	for i, s := range scenarios {
		if i > 0 {
			fmt.Fprintln(inv.stdout)
		}
		text, err := shown(s, scenario.Options{Backends: n}, c.Bool("rules"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(inv.stdout, strings.TrimSuffix(text, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// shown is the scenario in words, or its rules.
func shown(s scenario.Scenario, o scenario.Options, asRules bool) (string, error) {
	as, problems := s.With(o)
	if problems != nil {
		return "", problems
	}
	if !asRules {
		return printable.Text(as.Describe()), nil
	}
	rules, err := s.RuleSet(o)
	if err != nil {
		return "", &exit{exitUsage, fmt.Sprintf("%s: %s", s.Name, err), ""}
	}
	return rules.Save(), nil
}
