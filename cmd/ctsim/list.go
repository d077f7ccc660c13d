package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/internal/printable"
)

func listCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the scenarios",
		Description: "Lists the built-in scenarios, or those in a file.\n\n" +
			"   ctsim list\n" +
			"   ctsim list -f my.yaml --output name",
		Flags:  []cli.Flag{library.FileFlag(), cmdline.OutputFlag("text", "json", "name")},
		Action: inv.list,
	}
}

func (inv *invocation) list(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.Usage("list", "list takes no operand, got %q", c.Args().First())
	}
	format, err := inv.Choice(c, "output", "text", "json", "name")
	if err != nil {
		return err
	}
	l, err := library.Open(inv.Call, c)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return inv.listJSON(l)
	case "name":
		for _, s := range l.Scenarios {
			if _, err := fmt.Fprintln(inv.Stdout, s.Name); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(inv.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tTITLE")
	for _, s := range l.Scenarios {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, printable.Line(s.Title))
	}
	return w.Flush()
}

func (inv *invocation) listJSON(l *library.Library) error {
	type entry struct {
		Name   string `json:"name"`
		Title  string `json:"title"`
		Cause  string `json:"cause,omitempty"`
		See    string `json:"see,omitempty"`
		Cure   string `json:"cure,omitempty"`
		Source string `json:"source,omitempty"`
	}
	entries := []entry{}
	for _, s := range l.Scenarios {
		entries = append(entries, entry{s.Name, s.Title, s.Cause, s.See, s.Cure, s.Source})
	}
	return cmdline.JSON(inv.Stdout, entries)
}
