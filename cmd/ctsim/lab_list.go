package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/lab"
)

func labListCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the labs and the state they are in",
		Description: "Looks at each of your labs itself, not only at its record: a lab whose namespaces or process are gone is listed\n" +
			"as broken, with the reason.\n\n" +
			"   ctsim lab list\n" +
			"   ctsim lab list --output json",
		Flags:  []cli.Flag{outputFlag("text", "json", "name")},
		Action: inv.labList,
	}
}

// labEntry is a lab in a list.
type labEntry struct {
	Name string `json:"name"`
	lab.Status
	Scenario  string    `json:"scenario"`
	Service   string    `json:"service"`
	Endpoints int       `json:"endpoints"`
	Pods      int       `json:"pods"`
	Nodes     int       `json:"nodes"`
	Created   time.Time `json:"created"`
	// Namespaces are the names of the pods' and nodes' namespaces for `ip netns`, from anywhere if Root is true, else from
	// inside the lab.
	Namespaces map[string]string `json:"namespaces"`
	Root       bool              `json:"root"`
	// PID is the process that keeps an ordinary user's lab.
	PID int `json:"pid,omitempty"`
}

func (inv *invocation) labList(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.usage("lab list", "lab list takes no operand, got %q", c.Args().First())
	}
	format, err := inv.choice(c, "output", "text", "json", "name")
	if err != nil {
		return err
	}
	entries, err := inv.labEntries()
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return writeJSON(inv.stdout, entries)
	case "name":
		for _, e := range entries {
			fmt.Fprintln(inv.stdout, e.Name)
		}
		return nil
	}
	if len(entries) == 0 {
		inv.complain("no lab is up", inv.upHint())
		return nil
	}
	return table(inv.stdout, "NAME\tSTATUS\tENDPOINTS\tPODS\tNODES\tSERVICE\tSCENARIO\tAGE", func(row func(...any)) {
		for _, e := range entries {
			status := string(e.State)
			if e.Reason != "" {
				status += ": " + e.Reason
			}
			row(e.Name, status, e.Endpoints, e.Pods, e.Nodes, e.Service, e.Scenario, age(time.Since(e.Created)))
		}
	})
}

func (inv *invocation) labEntries() ([]labEntry, error) {
	store, _, err := inv.labs()
	if err != nil {
		return nil, err
	}
	names, err := store.Names()
	if err != nil {
		return nil, inv.badStore(store, err)
	}
	entries := []labEntry{}
	for _, name := range names {
		r, err := store.Load(name)
		if err != nil {
			entries = append(entries, labEntry{Name: name, Status: lab.Status{State: lab.Broken, Reason: err.Error()}})
			continue
		}
		e := labEntry{Name: r.Name, Status: r.Status(), Scenario: r.Scenario, Service: r.ServiceText(), Created: r.Created,
			Endpoints: len(r.Blueprint.Service.Endpoints), Pods: len(r.Places()) - len(r.Nodes()), Nodes: len(r.Nodes()),
			Namespaces: map[string]string{}, Root: r.Holder == nil}
		if r.Holder != nil {
			e.PID = r.Holder.PID
		}
		for _, place := range r.Places() {
			e.Namespaces[place] = r.NamespaceName(place)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// table writes rows below a heading, in columns.
func table(w io.Writer, heading string, fill func(row func(...any))) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, heading)
	fill(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	return t.Flush()
}

// age is a duration as kubectl writes it: its largest unit, two of them if the larger is small.
func age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
