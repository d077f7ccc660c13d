package labs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/cmd/ctsim/rootless"
	"github.com/ctsim/ctsim/cmd/ctsim/talk"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/lab"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
)

// labScenario is whose world a lab has if none is named: the article's.
const labScenario = "flush-multi-backend"

func labUpCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "up",
		Usage:     "build a lab and leave it up",
		ArgsUsage: "[LAB]",
		Description: "Builds the world of a scenario, the main case unless --scenario names another: pods, nodes, links and\n" +
			"kube-proxy's rules. It starts no program in the pods. It prints what there is and what to type next.\n\n" +
			"   ctsim lab up\n" +
			"   ctsim lab up other --backends 5 --nodes 3\n" +
			"   ctsim lab up udp --scenario udp-stale-endpoint",
		Flags: []cli.Flag{
			library.FileFlag(),
			library.AllowExecFlag(),
			&cli.StringFlag{Name: "scenario", Value: labScenario, Usage: "build the world of the scenario called `NAME`"},
			&cli.IntFlag{Name: "backends", Usage: "give the service `N` server pods", DefaultText: "as the scenario says"},
			&cli.IntFlag{Name: "nodes", Usage: "build `N` nodes: the client's, and those that share the server pods", DefaultText: "as the scenario says"},
			&cli.StringFlag{Name: "iptables", Usage: "use the iptables `FLAVOUR`: nft, legacy", DefaultText: "what the iptables command is"},
		},
		Action: inv.labUp,
	}
}

func (inv *invocation) labUp(c *cli.Context) error {
	record, err := inv.newLab(c)
	if err != nil {
		return err
	}
	store, direct, err := inv.labs()
	if err != nil {
		return err
	}
	if direct {
		err = lab.Up(c.Context, store, record)
	} else {
		err = lab.UpHeld(c.Context, store, record, rootless.Mark(), inv.Args[0], "lab", "hold")
	}
	if err != nil {
		return inv.labNotMade(c.Context, store, record, err)
	}
	return inv.welcome(store, record, direct)
}

// newLab is the lab that the command line asks for, checked as far as the kernel is not needed.
func (inv *invocation) newLab(c *cli.Context) (*lab.Record, error) {
	name := lab.DefaultName
	if c.NArg() > 1 {
		return nil, inv.Usage("lab up", "lab up takes one name, got %q too", c.Args().Get(1))
	}
	if c.NArg() == 1 {
		name = c.Args().First()
	}
	if err := lab.CheckName(name); err != nil {
		return nil, inv.Usage("lab up", "a lab cannot be called %q: %s", name, err)
	}
	flavour, err := inv.Choice(c, "iptables", modes.Flavours("iptables")...)
	if err != nil {
		return nil, err
	}
	backends, err := inv.AtLeastOne(c, "backends")
	if err != nil {
		return nil, err
	}
	l, err := library.Open(inv.Call, c)
	if err != nil {
		return nil, err
	}
	found, err := l.Named(inv.Call, []string{c.String("scenario")})
	if err != nil {
		return nil, err
	}
	if err := l.MayRun(inv.Call, c, found); err != nil {
		return nil, err
	}
	nodes, err := inv.AtLeastOne(c, "nodes")
	if err != nil {
		return nil, err
	}
	record, err := lab.NewRecord(name, found[0], scenario.Size{Backends: backends, Nodes: nodes}, flavour)
	return record, library.SizeProblem(inv.Call, c, found[0].Name, err)
}

// labNotMade says why there is no lab.
func (inv *invocation) labNotMade(ctx context.Context, s *lab.Store, r *lab.Record, err error) error {
	if i, ok := cmdline.InterruptedBy(ctx, err); ok {
		return i
	}
	switch {
	case errors.Is(err, lab.ErrTaken):
		if old, loadErr := s.Load(r.Name); loadErr == nil {
			if status := old.Status(); status.State == lab.Broken {
				return cmdline.UsageHint(inv.Program()+" lab down "+r.Name, "there is a lab called %s already, but it is broken: %s", r.Name, status.Reason)
			}
		}
		return cmdline.UsageHint(inv.Program()+" lab up NAME   # another one; or: "+inv.Program()+" lab down "+r.Name,
			"there is a lab called %s already", r.Name)
	case errors.Is(err, lab.ErrHolder):
		return rootless.Forbidden(inv.Call, err)
	}
	return build.AsUnsupported(err)
}

// shownServers is how many commands for servers are printed; those for the rest are like them.
const shownServers = 3

// welcome shows the lab and what to type next.
func (inv *invocation) welcome(s *lab.Store, r *lab.Record, direct bool) error {
	call := inv.toPaste(direct)
	option := ""
	if names, err := s.Names(); err != nil || len(names) > 1 || r.Name != lab.DefaultName {
		option = " --lab " + r.Name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "lab %s is up\n\n%s\n", r.Name, r.Picture())
	fmt.Fprintf(&b, "in one terminal each:\n")
	udp := ""
	if r.Blueprint.Service.Protocol == kube.UDP {
		udp = " --udp"
	}
	server := fmt.Sprintf("%s server :%d%s", inv.absolute(), r.Blueprint.Service.Port, udp)
	if r.Blueprint.Service.Port == talk.DefaultPort {
		server = fmt.Sprintf("%s server%s", inv.absolute(), udp)
	}
	client := fmt.Sprintf("%s client %s%s", inv.absolute(), r.Blueprint.Target, udp)
	fmt.Fprintf(&b, "  %s lab events%s\n", call, option)
	for i, server1 := range r.Servers() {
		if i == shownServers {
			fmt.Fprintf(&b, "  …\n")
			break
		}
		fmt.Fprintf(&b, "  %s lab exec%s %s -- %s\n", call, option, server1.Pod, server)
	}
	fmt.Fprintf(&b, "  %s lab exec%s %s -- %s\n", call, option, r.Blueprint.Client, client)
	fmt.Fprintf(&b, "then break what is between them:\n  %s lab flush%s\n", call, option)
	fmt.Fprintf(&b, "it stays until:\n  %s lab down %s\n", call, r.Name)
	if direct {
		fmt.Fprintf(&b, "its namespaces: ip netns exec %s …\n", r.NamespaceName(r.Blueprint.Client))
	}
	_, err := fmt.Fprint(inv.Stdout, b.String())
	return err
}

// toPaste is ctsim as the user has to type it, with sudo if that is how it was called.
func (inv *invocation) toPaste(direct bool) string {
	if direct && cmdline.BySudo() {
		return "sudo " + inv.absolute()
	}
	return inv.Program()
}

// absolute is how ctsim was called, but right in any folder.
func (inv *invocation) absolute() string {
	if path := inv.Args[0]; strings.Contains(path, "/") {
		if full, err := filepath.Abs(path); err == nil {
			return cmdline.Quote(full)
		}
	}
	return inv.Program()
}

func labDownCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "down",
		Usage:     "end the programs in a lab's pods and remove it",
		ArgsUsage: "[LAB…]",
		Description: "Removes the only lab there is, those named, or all of them. Programs still running in its pods get SIGTERM, and\n" +
			"after two seconds SIGKILL. The shell you type this in is spared.\n\n" +
			"   ctsim lab down\n" +
			"   ctsim lab down other\n" +
			"   ctsim lab down --all",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "all", Usage: "remove all labs"}},
		Action: inv.labDown,
	}
}

func (inv *invocation) labDown(c *cli.Context) error {
	names := c.Args().Slice()
	store, _, err := inv.labs()
	if err != nil {
		return err
	}
	switch {
	case c.Bool("all") && len(names) > 0:
		return cmdline.UsageHint(inv.Retyped("--all", ""), "lab down takes names or --all, not both")
	case c.Bool("all"):
		if names, err = store.Names(); err != nil {
			return inv.badStore(store, err)
		}
	case len(names) == 0:
		_, r, err := inv.chosenLab(os.Getenv(lab.NameVariable))
		if err != nil {
			return err
		}
		names = []string{r.Name}
	}
	for _, name := range names {
		if name == "" { // $UNSET is not the only lab there is
			return inv.Usage("lab down", "the name of a lab is empty")
		}
		if _, _, err := inv.chosenLab(name); err != nil {
			return err
		}
	}
	for _, name := range names {
		ended, err := lab.Down(c.Context, store, name)
		inv.tellEnded(ended)
		if err != nil {
			return inv.labError(name, fmt.Errorf("lab %s: %w", name, err))
		}
		if _, err := fmt.Fprintf(inv.Stdout, "lab %s is down\n", name); err != nil {
			return err
		}
	}
	return nil
}

// tellEnded names the processes that were ended with their pods.
func (inv *invocation) tellEnded(all []lab.Ended) {
	for _, e := range all {
		how := "ended"
		if e.Killed {
			how = "killed"
		}
		fmt.Fprintf(inv.Stderr, "ctsim: %s process %d: %s\n", how, e.PID, e.Command)
	}
}

// labHoldCommand is the process that keeps an ordinary user's lab.
func labHoldCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "hold",
		Usage:     "keep an ordinary user's lab; started by lab up",
		ArgsUsage: "LAB ID",
		Hidden:    true,
		Action: func(c *cli.Context) error {
			return lab.Hold(c.Context, inv.Stdin, inv.Stdout.Raw())
		},
	}
}
