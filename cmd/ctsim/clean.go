package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

const (
	// namedDir is where `ip netns` keeps namespaces that have a name.
	namedDir = "/run/netns"
	// namedPrefix is what the names of ctsim's own would begin with.
	namedPrefix = "ctsim-"
)

func cleanCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "clean",
		Usage: "look for anything that ctsim left behind",
		Description: "A run leaves nothing, however it ends: its namespaces have no names and go with its process. Names are the\n" +
			"only thing that could stay, and this version gives none, so there is nothing that it would delete. Network\n" +
			"namespaces whose names begin with ctsim- are listed, because somebody else made them.\n\n" +
			"   ctsim clean",
		Action: inv.clean,
	}
}

func (inv *invocation) clean(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.usage("clean", "clean takes no operand, got %q", c.Args().First())
	}
	foreign, err := namedLikeOurs(os.DirFS(namedDir))
	if err != nil {
		return fmt.Errorf("%s: %w", namedDir, err)
	}
	_, err = fmt.Fprintln(inv.stdout, "nothing to clean: a run leaves nothing behind")
	for _, name := range foreign {
		inv.complain(fmt.Sprintf("network namespace %s is not from this version of ctsim and stays", name),
			"sudo ip netns delete "+quote(name)+"   # if it is yours")
	}
	return err
}

// namedLikeOurs are the namespaces in dir whose names begin as ctsim's would.
func namedLikeOurs(dir fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(dir, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), namedPrefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}
