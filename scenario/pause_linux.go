package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// ErrSkip, returned by Options.Before, leaves a step out because somebody has done by hand what it does.
var ErrSkip = errors.New("done by hand")

// Pause is a run that stands still before a step, see Options.Before. The world is up; the clock goes on: what times
// out while the run waits has timed out.
type Pause struct {
	Scenario string
	// Step is the one that comes next: of Steps steps the Number[0]-th; those inside a repeat have their number in it after
	// that of the repeat, and Round says which round of it begins or goes on, 0 outside.
	Step   Step
	Number []int
	Round  int
	Steps  int
	// ByHand is what a person would type to do the same; empty if nothing would be typed.
	ByHand []Command
	// Timers are what goes on in this scenario while the run stands still, in words.
	Timers []string

	run *run
}

// pausing is where the run stands: the number of the step, the rounds of the repeats around it, and how long it has stood
// still in all.
type pausing struct {
	number  []int
	rounds  []int
	stopped time.Duration
}

// before lets somebody look at the run before a step. How long the run stood still is part of its story.
func (r *run) before(ctx context.Context, s Step, active []*flow) error {
	if r.options.Before == nil {
		return nil
	}
	p := &Pause{Scenario: r.scenario.Name, Step: s, Number: slices.Clone(r.pausing.number), Steps: r.progress.Steps,
		ByHand: s.action.commands(r.moment(active)), Timers: r.scenario.timers(), run: r}
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
		for _, node := range r.scenario.nodeNames() {
			err = errors.Join(err, r.relearn(node)) // it may have been iptables
		}
		return errors.Join(err, r.drain())
	}
	return err
}

// Skippable is false for steps that make what later ones need, sockets for instance, which nobody can make by hand.
func (p *Pause) Skippable() bool {
	return slices.Contains([]string{"flush", "delete-entry", "delete-stale", "age", "wait", "sysctl", "exec"}, p.Step.Name)
}

// moment is what is known now.
func (r *run) moment(active []*flow) moment {
	m := moment{scenario: r.scenario, endpoints: r.endpoints, ports: map[int]uint16{}, entries: map[string][]conntrack.Entry{}}
	if a, ok := r.serving(); ok {
		m.serving = r.ev.pods[a]
	}
	for _, f := range active {
		m.ids = append(m.ids, f.id)
	}
	for _, f := range r.flows {
		if f.conn != nil {
			m.ports[f.id] = f.conn.Local().Port()
		}
	}
	for _, node := range r.scenario.nodeNames() {
		m.entries[node], _ = conntrack.List(r.lab.Namespace(node)) // what cannot be read gives no command
	}
	for _, name := range r.scenario.serverNames() {
		if r.lab.Namespace(name) != nil {
			m.pods = append(m.pods, name)
		}
	}
	return m
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
	if os.Getenv("SUDO_USER") != "" {
		return "sudo nsenter " + path, nil // the other terminal is not root's either
	}
	return "nsenter " + path, nil
}

// Here is a command as it works on this machine now, from any terminal of the same user: in its pod or node, with the
// program for rules that the run uses, and with the path of a program that is not in PATH.
func (p *Pause) Here(c Command) (string, error) {
	prefix, err := p.Enter(c.At)
	if err != nil {
		return "", err
	}
	name, rest, _ := strings.Cut(c.Line, " ")
	path := name
	var env []string
	if node := p.run.rules[c.At]; node != nil {
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

// Exec runs a command in a pod or node; it ends with ctx and with ctsim. With a terminal that stdin is, the command has
// it to itself, in the foreground, so that Ctrl-C is for the command alone.
func (p *Pause) Exec(ctx context.Context, place string, command []string, stdin io.Reader, stdout, stderr io.Writer,
	terminal *os.File) error {
	ns, err := p.namespace(place)
	if err != nil {
		return err
	}
	return ns.Do(func() error {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		cmd.WaitDelay = time.Second
		if terminal == nil {
			return cmd.Run()
		}
		return inForeground(cmd, terminal)
	})
}

// inForeground runs a command in the foreground of a terminal and takes the terminal back when it has ended.
func inForeground(cmd *exec.Cmd, terminal *os.File) error {
	// Whoever takes the terminal from the background is stopped by SIGTTOU otherwise.
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, int(terminal.Fd())
	err := cmd.Run()
	_ = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPGRP, unix.Getpgrp()) // an error shows at the next prompt
	return err
}
