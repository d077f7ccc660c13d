package scenario

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// Pause is a run that stands still before a step, see Options.Before. The world is up; the clock goes on: what times
// out while the run waits has timed out.
type Pause struct {
	Scenario string
	// Step is the one that comes next, the Number-th of Steps of the scenario; those of a repeat have the repeat's number.
	Step          Step
	Number, Steps int
	// ByHand is what a person would type to do the same with `ip netns`; empty if nothing would be typed.
	ByHand []string

	run *run
}

// before lets somebody look at the run before a step.
func (r *run) before(ctx context.Context, s Step) error {
	if r.options.Before == nil {
		return nil
	}
	return r.options.Before(ctx, &Pause{Scenario: r.scenario.Name, Step: s, Number: r.progress.Step, Steps: r.progress.Steps,
		ByHand: s.action.command(r.scenario), run: r})
}

// Nodes are the nodes' names, Places those of everything that has a network namespace.
func (p *Pause) Nodes() []string { return p.run.scenario.nodeNames() }

// Places are the pods and nodes by name, without those that are gone.
func (p *Pause) Places() []string {
	var out []string
	for _, name := range p.run.lab.Names() {
		if p.run.lab.Namespace(name) != nil {
			out = append(out, name)
		}
	}
	return out
}

func (p *Pause) namespace(place string) (*topology.Namespace, error) {
	if ns := p.run.lab.Namespace(place); ns != nil {
		return ns, nil
	}
	return nil, fmt.Errorf("no pod or node %q, there are %v", place, p.Places())
}

// Enter is what to put before a command so that it runs in a pod or node, from any terminal of the same user, for as
// long as the run waits: the run's namespaces have no names, but this process has descriptors of them.
func (p *Pause) Enter(place string) (string, error) {
	ns, err := p.namespace(place)
	if err != nil {
		return "", err
	}
	path := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), ns.Fd())
	if os.Getenv(RootlessVariable) == "1" {
		return fmt.Sprintf("nsenter --target %d --user --preserve-credentials %s", os.Getpid(), path), nil
	}
	return "nsenter " + path, nil
}

// Table is the conntrack table of a node. Equivalent: `conntrack -L`.
func (p *Pause) Table(node string) ([]conntrack.Entry, error) {
	ns, err := p.namespace(node)
	if err != nil {
		return nil, err
	}
	return conntrack.List(ns)
}

// Sockets are the TCP sockets of a pod or node. Equivalent: `netstat -tan --timers`.
func (p *Pause) Sockets(place string) ([]socket.Socket, error) {
	ns, err := p.namespace(place)
	if err != nil {
		return nil, err
	}
	return socket.List(ns)
}

// Rules are the rules of a node with their counters, as `iptables-save -c` prints them.
func (p *Pause) Rules(node string) (string, error) {
	n := p.run.rules[node]
	if n == nil {
		return "", fmt.Errorf("no node %q, there are %v", node, p.Nodes())
	}
	text, _, err := n.Dump()
	return text, err
}

// Exec runs a command in a pod or node; it ends with ctx and with ctsim.
func (p *Pause) Exec(ctx context.Context, place string, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	ns, err := p.namespace(place)
	if err != nil {
		return err
	}
	return ns.Do(func() error {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		cmd.WaitDelay = time.Second
		return cmd.Run()
	})
}
