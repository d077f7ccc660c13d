// Package labs is the commands below `ctsim lab`, and `ctsim clean`, which takes away what is left of labs that broke.
package labs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/rootless"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/lab"
	"github.com/ctsim/ctsim/scenario/build"
)

// invocation is a call of the command line with what the commands of this folder make of it.
type invocation struct{ *cmdline.Call }

// commands are the commands below `ctsim lab`, in the order of the help.
var commands = []func(*invocation) *cli.Command{
	labUpCommand, labListCommand, labExecCommand, labShellCommand, labEventsCommand, labFlushCommand, labTableCommand,
	labSocketsCommand, labRulesCommand, labCaptureCommand, labBackendsCommand, labDownCommand, labHoldCommand,
}

// Command is `ctsim lab`, with the commands below it.
func Command(call *cmdline.Call) *cli.Command {
	command := &cli.Command{
		Name:  "lab",
		Usage: "keep a world up and work in it by hand",
		Description: "A lab is the world of a scenario that stays up until `ctsim lab down`: pods to run programs in, nodes with\n" +
			"kube-proxy's rules, and commands to watch and break what happens between them. It outlives the terminal it\n" +
			"was built in, and every terminal of the same user finds it. Root's pods are network namespaces with names, for\n" +
			"`ip netns exec ctsim-client …`; without root the same ctsim commands work. Commands use the only lab there is,\n" +
			"or the one named by --lab.\n\n" +
			"   ctsim lab up\n" +
			"   ctsim lab events                                       terminal 1\n" +
			"   ctsim lab exec server-1 -- ctsim server                terminals 2 and 3 (there, server-2)\n" +
			"   ctsim lab exec client -- ctsim client 10.108.33.37     terminal 4\n" +
			"   ctsim lab flush\n" +
			"   ctsim lab down",
	}
	for _, sub := range commands {
		command.Subcommands = append(command.Subcommands, sub(&invocation{call}))
	}
	return command
}

func labFlag() cli.Flag {
	return &cli.StringFlag{Name: "lab", Usage: "use the lab called `LAB`", DefaultText: "the only one there is",
		EnvVars: []string{lab.NameVariable}}
}

// nodeFlag names a node; the commands that take it look at all otherwise.
func nodeFlag() cli.Flag {
	return &cli.StringFlag{Name: "node", Usage: "on `NODE` only", DefaultText: "all nodes"}
}

// labs is where this user's labs are kept. Direct tells that they can be made and entered without more ado: by root.
func (inv *invocation) labs() (store *lab.Store, direct bool, err error) {
	missing, err := rootless.MissingCapabilities()
	if err != nil {
		return nil, false, err
	}
	foreign, err := rootless.ForeignRoot()
	if err != nil {
		return nil, false, err
	}
	direct = os.Geteuid() == 0 && len(missing) == 0 && !foreign
	if direct {
		store = lab.RootStore()
	} else if store, err = lab.UserStore(); err != nil {
		return nil, false, err
	}
	store.Waiting = func(text string) { inv.Complain(text, "") }
	return store, direct, nil
}

// enterLab gives the lab that a command is to work in, from inside: what an ordinary user may do there, this process may
// do afterwards.
func (inv *invocation) enterLab(c *cli.Context) (*lab.Store, *lab.Record, error) {
	lab.Entered()
	store, record, err := inv.namedLab(c)
	if err != nil {
		return nil, nil, err
	}
	if status := record.Status(); status.State != lab.IsUp {
		return nil, nil, inv.notUp(record, status)
	}
	if record.Outside() {
		err := record.Enter(inv.Args[1:], rootless.Mark())
		if errors.Is(err, lab.ErrNsenter) {
			return nil, nil, cmdline.NewExit(cmdline.ExitUnsupported, err.Error(), "sudo apt-get install util-linux")
		}
		return nil, nil, cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("lab %s: %s", record.Name, err), "")
	}
	return store, record, nil
}

// inLab runs do in the lab that is asked for.
func (inv *invocation) inLab(c *cli.Context, do func(*lab.Lab) error) error {
	_, record, err := inv.enterLab(c)
	if err != nil {
		return err
	}
	l, err := lab.Open(record)
	if err != nil {
		return build.AsUnsupported(err)
	}
	return errors.Join(inv.labError(record.Name, do(l)), l.Close())
}

// namedLab is the lab of --lab, or the only one.
func (inv *invocation) namedLab(c *cli.Context) (*lab.Store, *lab.Record, error) {
	_, inEnvironment := os.LookupEnv(lab.NameVariable)
	if !inEnvironment { // there an empty one is none
		if err := inv.NotEmpty(c, "lab"); err != nil {
			return nil, nil, err
		}
	}
	return inv.chosenLab(c.String("lab"))
}

// Chosen is this user's lab of that name, or the only one if the name is empty.
func Chosen(call *cmdline.Call, name string) (*lab.Record, error) {
	_, record, err := (&invocation{call}).chosenLab(name)
	return record, err
}

// chosenLab is the lab of that name, or the only one if the name is empty.
func (inv *invocation) chosenLab(name string) (*lab.Store, *lab.Record, error) {
	store, _, err := inv.labs()
	if err != nil {
		return nil, nil, err
	}
	names, err := store.Names()
	if err != nil {
		return nil, nil, inv.badStore(store, err)
	}
	switch {
	case len(names) == 0 && name == "":
		return nil, nil, cmdline.UsageHint(inv.upHint(), "no lab is up")
	case name == "" && len(names) > 1:
		return nil, nil, cmdline.UsageHint(cmdline.Join(insertLab(inv.Args, names[0])), "there are %d labs, %s: which one? name it with --lab",
			len(names), strings.Join(names, ", "))
	case name == "":
		name = names[0]
	}
	record, err := store.Load(name)
	if errors.Is(err, lab.ErrNone) {
		return nil, nil, inv.noLab(name, names)
	}
	if err != nil {
		return nil, nil, inv.badStore(store, err)
	}
	return store, record, nil
}

// insertLab is a command line with --lab behind `lab COMMAND`.
func insertLab(args []string, name string) []string {
	for i, a := range args {
		if a == "lab" && i+1 < len(args) {
			out := append(append([]string{}, args[:i+2]...), "--lab", name)
			return append(out, args[i+2:]...)
		}
	}
	return args
}

// upHint is how to get a lab; if root has one, how to use that.
func (inv *invocation) upHint() string {
	if os.Geteuid() != 0 {
		if names, err := lab.RootStore().NamesOfOthers(); err == nil && len(names) > 0 {
			return inv.WithRoot() + "   # root's lab; or, for one of your own: " + inv.Program() + " lab up"
		}
	}
	return inv.Program() + " lab up"
}

func (inv *invocation) noLab(name string, names []string) error {
	if near := strictyaml.Nearest(name, names); near != "" {
		return cmdline.UsageHint(inv.Retyped(name, near), "no such lab: %q", name)
	}
	if len(names) == 0 {
		return cmdline.UsageHint(inv.upHint(), "no such lab: %q; there is none", name)
	}
	return cmdline.UsageHint(inv.Program()+" lab list", "no such lab: %q", name)
}

func (inv *invocation) badStore(s *lab.Store, err error) error {
	return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("the folder of labs, %s: %s", s.Dir(), err), "ls -ld "+cmdline.Quote(s.Dir()))
}

func (inv *invocation) notUp(r *lab.Record, s lab.Status) error {
	if s.State == lab.Starting {
		return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("lab %s is not up yet", r.Name), inv.Program()+" lab list")
	}
	return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("lab %s is %s: %s", r.Name, s.State, s.Reason),
		inv.Program()+" lab down "+r.Name)
}

// labError turns what package lab finds wrong with a name into wrong usage.
func (inv *invocation) labError(name string, err error) error {
	var noPod *lab.NoPod
	var coded *cmdline.Exit
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.As(err, &noPod):
		return inv.noPod(noPod.Name, noPod.Known)
	case errors.Is(err, lab.ErrNone):
		return inv.noLab(name, nil)
	case errors.Is(err, lab.ErrNoChange), errors.Is(err, lab.ErrFull):
		return cmdline.UsageHint(inv.Program()+" lab backends", "%s", err)
	}
	return build.AsUnsupported(err)
}

// noPod is the error of a pod or node that does not exist.
func (inv *invocation) noPod(name string, known []string) error {
	if len(known) == 0 { // all server pods were taken away
		return cmdline.UsageHint(inv.Program()+" lab backends add", "there is no pod %q, nor any other", name)
	}
	text := fmt.Sprintf("there is no pod or node %q, expected one of %s", name, shortList(known))
	if near := strictyaml.Nearest(name, known); near != "" {
		return cmdline.UsageHint(inv.Retyped(name, near), "%s (did you mean %s?)", text, near)
	}
	return cmdline.UsageHint("", "%s", text)
}

// shortList is a list of names, without the middle of a long one.
func shortList(names []string) string {
	if len(names) > 10 {
		names = append(append(append([]string{}, names[:8]...), "…"), names[len(names)-1])
	}
	return strings.Join(names, ", ")
}

// place makes sure that a name is one of the places.
func (inv *invocation) place(name string, places []string) (string, error) {
	for _, p := range places {
		if p == name {
			return p, nil
		}
	}
	return "", inv.noPod(name, places)
}

// nodes are those that --node names: one, or all.
func (inv *invocation) nodes(c *cli.Context, r *lab.Record) ([]string, error) {
	if !c.IsSet("node") {
		return r.Nodes(), nil
	}
	node, err := inv.place(c.String("node"), r.Nodes())
	return []string{node}, err
}
