package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

func showCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "explain what a scenario does and expects, without running it",
		ArgsUsage: "NAME…",
		Description: "Draws the scenario's world and lists its steps and expectations. With --rules it prints the rules of the\n" +
			"client's node as iptables-save would print them there, with --output json the plan: every default, address,\n" +
			"name and size settled, the same on every machine. None of it needs any privileges.\n\n" +
			"   ctsim show flush-multi-backend\n" +
			"   ctsim show flush-multi-backend --backends 5\n" +
			"   ctsim show flush-multi-backend --rules --backends 5",
		Flags: []cli.Flag{
			library.FileFlag(),
			cmdline.OutputFlag("text", "json"),
			&cli.BoolFlag{Name: "rules", Usage: "print the rules of the client's node"},
			&cli.IntFlag{Name: "backends", Usage: "show it with `N` server pods", DefaultText: "as the scenario says"},
			&cli.IntFlag{Name: "connections", Usage: "show it with `N` connections", DefaultText: "as the scenario says"},
		},
		Action: inv.show,
	}
}

func (inv *invocation) show(c *cli.Context) error {
	if c.NArg() == 0 {
		return cmdline.UsageHint(inv.Program()+" list", "show needs the name of a scenario")
	}
	size, err := library.SizeOf(inv.Call, c)
	if err != nil {
		return err
	}
	format, err := inv.Choice(c, "output", "text", "json")
	if err != nil {
		return err
	}
	if format == "json" && c.Bool("rules") {
		return inv.Usage("show", "--rules are text, as iptables-save prints them; want no --output json with them")
	}
	l, err := library.Open(inv.Call, c)
	if err != nil {
		return err
	}
	scenarios, err := l.Named(inv.Call, c.Args().Slice())
	if err != nil {
		return err
	}
	plans, err := library.Plans(inv.Call, c, scenarios, size)
	if err != nil {
		return err
	}
	if err := inv.showWishes(l, scenarios, format == "text" && !c.Bool("rules")); err != nil {
		return err
	}
	for i, p := range plans {
		if i > 0 && format == "text" {
			fmt.Fprintln(inv.Stdout)
		}
		text, err := shown(p, format, c.Bool("rules"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(inv.Stdout, strings.TrimSuffix(text, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// showWishes says first which programs the scenarios want to run; on stderr, if stdout is for a program.
func (inv *invocation) showWishes(l *library.Library, scenarios []scenario.Scenario, inText bool) error {
	if !inText {
		return l.TellWishes(inv.Stderr, scenarios)
	}
	var b strings.Builder
	if err := l.TellWishes(&b, scenarios); err != nil || b.Len() == 0 {
		return err
	}
	_, err := fmt.Fprintln(inv.Stdout, b.String())
	return err
}

// shown is the plan in words or as JSON, or its rules.
func shown(p *scenario.Plan, format string, asRules bool) (string, error) {
	switch {
	case asRules:
		mode, err := modes.Find(p.Mode, "")
		if err != nil {
			return "", err
		}
		rules := mode.Rules(p.Proxy, p.Service)
		if err := rules.Err(); err != nil {
			return "", cmdline.NewExit(cmdline.ExitUsage, fmt.Sprintf("%s: %s", p.Scenario, err), "")
		}
		return rules.Save(), nil
	case format == "json":
		text, err := p.JSON()
		return string(printable.EscapedJSON(text)), err
	}
	return p.Describe(), nil
}
