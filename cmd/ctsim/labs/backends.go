package labs

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/lab"
)

func labBackendsCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "backends",
		Usage:     "show or change the service's endpoints",
		ArgsUsage: "[add | remove] [POD]",
		Description: "Without operands it lists the server pods. `add` starts a new pod and makes it an endpoint, or makes the pod you\n" +
			"name an endpoint again; `remove` takes a pod out of the service, and with --stop removes the pod as well. The\n" +
			"rules of all nodes change at once, as kube-proxy's do: entries of TCP connections are left alone.\n\n" +
			"   ctsim lab backends\n" +
			"   ctsim lab backends add\n" +
			"   ctsim lab backends remove server-2\n" +
			"   ctsim lab backends add server-2\n" +
			"   ctsim lab backends remove server-2 --stop",
		Flags: []cli.Flag{labFlag(), cmdline.OutputFlag("text", "json"),
			&cli.BoolFlag{Name: "stop", Usage: "with remove: end the pod's programs and remove the pod as well"}},
		Action: inv.labBackends,
	}
}

func (inv *invocation) labBackends(c *cli.Context) error {
	words := c.Args().Slice()
	format, err := inv.Choice(c, "output", "text", "json")
	if err != nil {
		return err
	}
	switch {
	case len(words) > 2:
		return inv.Usage("lab backends", "lab backends takes one pod at a time, got %q too", words[2])
	case len(words) == 2 && words[0] == "remove":
		return inv.labRemove(c, words[1])
	case len(words) == 1 && words[0] == "remove":
		return cmdline.UsageHint(inv.Program()+" lab backends", "lab backends remove needs the name of a server pod")
	case c.Bool("stop"):
		return inv.Usage("lab backends", "--stop goes with remove")
	case len(words) > 0 && words[0] == "add":
		return inv.labAdd(c, append(words, "")[1])
	case len(words) > 0:
		return inv.Usage("lab backends", "lab backends %q: expected add or remove", words[0])
	}
	_, r, err := inv.namedLab(c)
	if err != nil {
		return err
	}
	if format == "json" {
		return cmdline.JSON(inv.Stdout, append([]lab.Backend{}, r.Servers()...))
	}
	return cmdline.Table(inv.Stdout, "POD\tADDRESS\tNODE\tENDPOINT", func(row func(...any)) {
		for _, b := range r.Servers() {
			row(b.Pod, b.Address, b.Node, map[bool]string{true: "yes", false: "no"}[b.Endpoint])
		}
	})
}

func (inv *invocation) labAdd(c *cli.Context, pod string) error {
	store, r, err := inv.enterLab(c)
	if err != nil {
		return err
	}
	b, err := lab.AddBackend(c.Context, store, r.Name, pod)
	if err != nil {
		return inv.labError(r.Name, err)
	}
	_, err = fmt.Fprintf(inv.Stdout, "%s %s on %s is an endpoint of the service\n", b.Pod, b.Address, b.Node)
	return err
}

func (inv *invocation) labRemove(c *cli.Context, pod string) error {
	store, r, err := inv.enterLab(c)
	if err != nil {
		return err
	}
	ended, err := lab.RemoveBackend(c.Context, store, r.Name, pod, c.Bool("stop"))
	inv.tellEnded(ended)
	if err != nil {
		return inv.labError(r.Name, err)
	}
	text := pod + " is no endpoint of the service any more; the pod goes on running"
	if c.Bool("stop") {
		text = pod + " is gone"
	}
	_, err = fmt.Fprintln(inv.Stdout, text)
	return err
}
