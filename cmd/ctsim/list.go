package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/internal/printable"
)

func listCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the scenarios",
		Description: "Lists the built-in scenarios, or those of a file.\n\n" +
			"   ctsim list\n" +
			"   ctsim list -f my.yaml --output name",
		Flags:  []cli.Flag{fileFlag(), outputFlag("text", "json", "name")},
		Action: inv.list,
	}
}

func (inv *invocation) list(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.usage("list", "list takes no operand, got %q", c.Args().First())
	}
	format, err := inv.choice(c, "output", "text", "json", "name")
	if err != nil {
		return err
	}
	l, err := inv.load(c.String("file"))
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return inv.listJSON(l)
	case "name":
		for _, s := range l.Scenarios {
			if _, err := fmt.Fprintln(inv.stdout, s.Name); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(inv.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tTITLE")
	for _, s := range l.Scenarios {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, printable.Line(s.Title))
	}
	return w.Flush()
}

func (inv *invocation) listJSON(l *library) error {
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
	e := json.NewEncoder(inv.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(entries)
}
