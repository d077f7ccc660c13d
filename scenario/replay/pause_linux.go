package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/topology"
)

// ErrSkip, returned by Options.Before, leaves a step out because somebody has done by hand what it does.
var ErrSkip = errors.New("done by hand")

// Pause is a run that stands still before a step, see Options.Before. The world is up; the clock goes on: what times
// out while the run waits has timed out.
type Pause struct {
	Plan *scenario.Plan
	// Step is the one that comes next: of Steps steps the Number[0]-th; those inside a repeat have their number in it after
	// that of the repeat, and Round says which round of it begins or goes on, 0 outside.
	Step   scenario.Step
	Number []int
	Round  int
	Steps  int
	// Connections are the numbers of those that the step is for, in order; Ports the client's source ports by number, of
	// all connections that are open.
	Connections []int
	Ports       map[int]uint16
	// Endpoints are the service's now. Serving is the pod that the first connection leads to, empty if that is not known.
	Endpoints []netip.AddrPort
	Serving   string

	run *run
}

// pausing is where the run stands: the number of the step, the rounds of the repeats around it, and how long it has stood
// still in all.
type pausing struct {
	number  []int
	rounds  []int
	stopped time.Duration
}

// before lets somebody look at the run before a step. How long the run stood still is in the evidence.
func (r *run) before(ctx context.Context, s scenario.Step, active []*flow) error {
	if r.options.Before == nil {
		return nil
	}
	p := &Pause{Plan: r.plan, Step: s, Number: slices.Clone(r.pausing.number), Steps: r.progress.Steps, run: r}
	p.know(active)
	if n := len(r.pausing.rounds); n > 0 {
		p.Round = r.pausing.rounds[n-1]
	}
	began := time.Now()
	err := r.options.Before(ctx, p)
	took := time.Since(began)
	r.pausing.stopped += took
	if took >= time.Second {
		r.note("step", "stopped", fmt.Sprintf("the run stood still for %.1f s before the next step", took.Seconds()))
	}
	if errors.Is(err, ErrSkip) {
		r.note("step", "skipped", "done by hand: "+s.Describe())
		for _, node := range r.plan.NodeNames() {
			err = errors.Join(err, r.relearn(node)) // it may have been iptables
		}
		return errors.Join(err, r.drain())
	}
	return err
}

// know sets what is known of the connections and the service.
func (p *Pause) know(active []*flow) {
	r := p.run
	p.Endpoints, p.Ports = slices.Clone(r.endpoints), map[int]uint16{}
	if a, ok := r.serving(); ok {
		p.Serving = r.ev.Pods[a]
	}
	for _, f := range active {
		p.Connections = append(p.Connections, f.id)
	}
	for _, f := range r.flows {
		if f.conn != nil {
			p.Ports[f.id] = f.conn.Local().Port()
		}
	}
}

// Nodes are the nodes' names, the first one first.
func (p *Pause) Nodes() []string { return p.Plan.NodeNames() }

// Places are the pods, nodes and machines by name, without those that are gone.
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
	if p.run.options.Rootless {
		return fmt.Sprintf("nsenter --target %d --user --preserve-credentials %s", os.Getpid(), path), nil
	}
	if p.run.options.Sudo {
		return "sudo nsenter " + path, nil // the other terminal is not root's either
	}
	return "nsenter " + path, nil
}

// Here is a shell command as it works on this machine now, from any terminal of the same user: in its pod or node, with
// the program for rules that the run uses, and with the path of a program that is not in PATH.
func (p *Pause) Here(place, line string) (string, error) {
	prefix, err := p.Enter(place)
	if err != nil {
		return "", err
	}
	name, rest, _ := strings.Cut(line, " ")
	path := name
	var env []string
	if node := p.run.rules[place]; node != nil {
		if own, needs := node.Program(name); own != "" {
			path, env = own, needs
		}
	}
	switch {
	case path != name:
		if len(env) > 0 {
			prefix += " env " + strings.Join(env, " ")
		}
	case name == "ctsim":
		if path, err = os.Executable(); err != nil {
			return "", err
		}
	default:
		for _, dir := range []string{"/usr/sbin", "/sbin"} { // not in the PATH of Debian's ordinary users
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				path = filepath.Join(dir, name)
				break
			}
		}
	}
	if found, err := exec.LookPath(filepath.Base(path)); err == nil && (found == path || !filepath.IsAbs(path)) {
		path = filepath.Base(path)
	}
	return strings.TrimSpace(prefix + " " + path + " " + rest), nil
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

// In runs do on a thread in the network namespace of a pod or node: processes that it starts are there.
func (p *Pause) In(place string, do func() error) error {
	ns, err := p.namespace(place)
	if err != nil {
		return err
	}
	return ns.Do(do)
}
