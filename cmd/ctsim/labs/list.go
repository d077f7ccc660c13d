package labs

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
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
		Flags:  []cli.Flag{cmdline.OutputFlag("text", "json", "name")},
		Action: inv.labList,
	}
}

// Entry is a lab in a list; its JSON is what `ctsim lab list --output json` prints.
type Entry struct {
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
		return inv.Usage("lab list", "lab list takes no operand, got %q", c.Args().First())
	}
	format, err := inv.Choice(c, "output", "text", "json", "name")
	if err != nil {
		return err
	}
	entries, err := Entries(inv.Call)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return cmdline.JSON(inv.Stdout, entries)
	case "name":
		for _, e := range entries {
			if _, err := fmt.Fprintln(inv.Stdout, e.Name); err != nil {
				return err
			}
		}
		return nil
	}
	if len(entries) == 0 {
		inv.Complain("no lab is up", inv.upHint())
		return nil
	}
	return cmdline.Table(inv.Stdout, "NAME\tSTATUS\tENDPOINTS\tPODS\tNODES\tSERVICE\tSCENARIO\tAGE", func(row func(...any)) {
		for _, e := range entries {
			status := string(e.State)
			if e.Reason != "" {
				status += ": " + e.Reason
			}
			row(e.Name, status, e.Endpoints, e.Pods, e.Nodes, e.Service, e.Scenario, age(time.Since(e.Created)))
		}
	})
}

// Entries are this user's labs with how they stand, looked at now.
func Entries(call *cmdline.Call) ([]Entry, error) {
	inv := &invocation{call}
	store, _, err := inv.labs()
	if err != nil {
		return nil, err
	}
	names, err := store.Names()
	if err != nil {
		return nil, inv.badStore(store, err)
	}
	entries := []Entry{}
	for _, name := range names {
		r, err := store.Load(name)
		if err != nil {
			entries = append(entries, Entry{Name: name, Status: lab.Status{State: lab.Broken, Reason: err.Error()}})
			continue
		}
		e := Entry{Name: r.Name, Status: r.Status(), Scenario: r.Scenario, Service: r.ServiceText(), Created: r.Created,
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
