package labs

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/lab"
)

// CleanCommand is `ctsim clean`.
func CleanCommand(call *cmdline.Call) *cli.Command {
	inv := &invocation{call}
	return &cli.Command{
		Name:  "clean",
		Usage: "remove what is left of labs that broke",
		Description: "A run leaves nothing behind, however it ends: its namespaces have no names and end with its process. A lab has\n" +
			"names, or a process that keeps it, and a crash can leave parts of it. Those are removed if they carry a lab's\n" +
			"mark; labs that are up stay. Network namespaces whose names begin with ctsim- but which carry no mark belong to\n" +
			"somebody else: they are listed, and stay too.\n\n" +
			"   ctsim clean\n" +
			"   ctsim clean --dry-run",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "dry-run", Usage: "say what would be removed, and remove nothing"}},
		Action: inv.NoOperand(inv.clean),
	}
}

func (inv *invocation) clean(c *cli.Context) error {
	store, _, err := inv.labs()
	if err != nil {
		return err
	}
	left, foreign, err := lab.Leftovers(store)
	if err != nil {
		return inv.badStore(store, err)
	}
	done := "removed"
	if c.Bool("dry-run") {
		done = "would remove"
	}
	for _, l := range left {
		if !c.Bool("dry-run") {
			if err := l.Remove(c.Context); err != nil {
				return fmt.Errorf("%s: %w", l.What, err)
			}
		}
		if _, err := fmt.Fprintf(inv.Stdout, "%s %s\n", done, l.What); err != nil {
			return err
		}
	}
	if len(left) == 0 {
		if _, err := fmt.Fprintln(inv.Stdout, "nothing to clean"); err != nil {
			return err
		}
	}
	for _, name := range foreign {
		inv.Complain(fmt.Sprintf("network namespace %s does not carry ctsim's mark and stays", name),
			"sudo ip netns delete "+cmdline.Quote(name)+"   # if it is yours")
	}
	return nil
}
