package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/scenario/byhand"
)

func scriptCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "script",
		Usage:     "print a scenario as a shell script that does the same with ip, iptables and conntrack",
		ArgsUsage: "NAME",
		Description: "You don't have to take ctsim's word for it: the script builds the same world with ip and sysctl, loads\n" +
			"kube-proxy's rules with iptables-restore, takes the steps with conntrack, and reports what became of the\n" +
			"connections. The only parts of ctsim it uses are the client and the server. It needs root or user namespaces,\n" +
			"and leaves nothing behind.\n\n" +
			"   ctsim script flush-multi-backend > flush.sh; sudo bash flush.sh\n" +
			"   ctsim script flush-multi-backend --backends 5\n\n" +
			"The script's last line is the outcome, in the words of a run, or says what could not be told. It exits with 0 if it\n" +
			"is as the scenario expects, 1 if not, 3 if the machine cannot run it, 4 if it is inconclusive. It uses the ctsim in\n" +
			"PATH, or the one named by the variable CTSIM.\n\n" +
			"Exit codes: 2 wrong usage, or a step that cannot be written in shell.",
		Flags: []cli.Flag{
			library.FileFlag(),
			library.AllowExecFlag(),
			&cli.IntFlag{Name: "backends", Usage: "give the service `N` server pods", DefaultText: "as the scenario says"},
			&cli.IntFlag{Name: "connections", Usage: "open `N` connections", DefaultText: "as the scenario says"},
		},
		Action: inv.script,
	}
}

func (inv *invocation) script(c *cli.Context) (err error) {
	if c.NArg() != 1 {
		return cmdline.UsageHint(inv.Program()+" list", "script needs the name of one scenario")
	}
	size, err := library.SizeOf(inv.Call, c)
	if err != nil {
		return err
	}
	l, err := library.Open(inv.Call, c)
	if err != nil {
		return err
	}
	found, err := l.Named(inv.Call, c.Args().Slice())
	if err != nil {
		return err
	}
	if err := l.MayRun(inv.Call, c, found); err != nil {
		return err
	}
	plans, err := library.Plans(inv.Call, c, found, size)
	if err != nil {
		return err
	}
	text, err := byhand.Script(plans[0])
	var cannot *byhand.Unscriptable
	switch {
	case errors.As(err, &cannot):
		return cmdline.NewExit(cmdline.ExitUsage, err.Error(), inv.Program()+" run "+cmdline.Quote(found[0].Name))
	case err != nil:
		return err
	}
	_, err = fmt.Fprint(inv.Stdout, text)
	return err
}
