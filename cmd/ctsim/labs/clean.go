package labs

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	if c.Bool("dry-run") {
		return inv.wouldClean(store)
	}
	return inv.cleanAll(c.Context, store)
}

// wouldClean says what clean would remove.
func (inv *invocation) wouldClean(store *lab.Store) error {
	left, foreign, err := lab.Leftovers(store)
	if err != nil {
		return inv.badStore(store, err)
	}
	for _, l := range left {
		if err := inv.cleaned("would remove", l); err != nil {
			return err
		}
	}
	return inv.endOfClean(len(left) == 0, foreign)
}

// cleanAll removes what is left, and says so of what is gone then.
func (inv *invocation) cleanAll(ctx context.Context, store *lab.Store) error {
	var tried []lab.Leftover
	failed := map[string]error{}
	for {
		left, foreign, err := lab.Leftovers(store)
		if err != nil {
			return inv.badStore(store, err)
		}
		var still []string
		more := false
		for _, l := range left {
			still = append(still, l.What)
			if slices.ContainsFunc(tried, func(t lab.Leftover) bool { return t.What == l.What }) {
				continue
			}
			more, tried = true, append(tried, l)
			failed[l.What] = l.Remove(ctx)
		}
		if more { // a folder may be free to go now that what was in it has gone
			continue
		}
		store.RemoveEmpty()
		var errs []error
		for _, l := range tried {
			err := failed[l.What]
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: %w", l.What, err))
			case slices.Contains(still, l.What):
				errs = append(errs, fmt.Errorf("%s is still there", l.What))
			default:
				errs = append(errs, inv.cleaned("removed", l))
			}
		}
		return errors.Join(append(errs, inv.endOfClean(len(tried) == 0, foreign))...)
	}
}

// cleaned writes a line about something that was left.
func (inv *invocation) cleaned(done string, l lab.Leftover) error {
	why := ""
	if l.Why != "" {
		why = ", " + l.Why
	}
	_, err := fmt.Fprintf(inv.Stdout, "%s %s%s\n", done, l.What, why)
	return err
}

// endOfClean says that there was nothing, and what stays because it is not ctsim's.
func (inv *invocation) endOfClean(nothing bool, foreign []string) error {
	if nothing {
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
