package iptables

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/topology"
)

// Method is a way of putting rules into the kernel. All give the same rules.
type Method uint8

// The methods. The zero value is Auto.
const (
	// Auto takes Restore for what is new or much, and Calls for a few changes of what is there.
	Auto Method = iota
	// Calls makes one change at a time with go-iptables, each a process of about 2 ms. The frame, all that does not
	// depend on a service, goes in with one iptables-restore all the same.
	Calls
	// Restore makes all changes with one iptables-restore, as kube-proxy does.
	Restore
)

// maxWorkers is the number of processes at a time. More would only wait for one another.
const maxWorkers = 4

// maxCalls is the number of calls up to which Auto makes them.
const maxCalls = 32

// maxTransaction is the number of lines that iptables-nft-restore sends to the kernel in one message. The message must
// fit into the socket's buffer, 208 KiB where ctsim is not root and may not enlarge it, and a rule takes up to 1 KiB.
// Many messages take no longer than one (1000 endpoints, 4000 rules: 80 ms either way). Legacy writes the whole table
// each time and knows no such limit.
const maxTransaction = 150

// Node is the rules of one namespace. Its methods are for one goroutine at a time; Nodes of different namespaces do not
// disturb each other.
type Node struct {
	ns       *topology.Namespace
	programs programs
}

// Open looks for the iptables commands and readies them for a namespace, which stays the caller's and in which nothing
// is changed yet. The error matches
// [dataplane.ErrNotInstalled] if iptables, or the flavour asked for, is not on the machine.
func Open(ns *topology.Namespace, flavour Flavour) (*Node, error) {
	p, err := findPrograms(flavour)
	if err != nil {
		return nil, err
	}
	if err := useOwnLock(); err != nil {
		return nil, err
	}
	return &Node{ns: ns, programs: p}, nil
}

// Program is the path of the command that works on the node's rules, for the name "iptables". The legacy flavour has to be
// told of the namespace's own lock, since the usual one is root's.
func (n *Node) Program(name string) (path string, env []string) {
	if name != "iptables" {
		return "", nil
	}
	if n.programs.flavour == Legacy {
		env = []string{lockVariable + "=" + ownLock}
	}
	return n.programs.iptables, env
}

// Install puts a [RuleSet] into a namespace that has no rules of kube-proxy yet; use [Node.Sync] where it has. It needs
// CAP_NET_ADMIN and CAP_SYS_ADMIN over the namespace.
func (n *Node) Install(rules dataplane.Rules) error { return n.InstallWith(Auto, rules) }

// InstallWith is Install by the given method.
func (n *Node) InstallWith(m Method, rules dataplane.Rules) error {
	rs, err := own(rules)
	if err != nil {
		return err
	}
	if m != Calls {
		return n.within("install the rules", func() error { return n.restore(rs.Restore()) })
	}
	frame := rs.frame()
	go func() { _, _ = client(n.programs.iptables) }() // asks for the version while the frame goes in; call waits for it
	if err := n.within("install the rules", func() error { return n.restore(frame.Restore()) }); err != nil {
		return err
	}
	return n.call("install the rules", stages(changes(frame.asSaved(), rs)))
}

// Sync changes the namespace's rules into those of a [RuleSet], after endpoints or services have changed. Chains that
// stay the same keep their counters. Connection tracking is not touched: kube-proxy leaves the entries of TCP
// connections to an endpoint that is gone, and so does Sync; deleting those of UDP is the caller's.
func (n *Node) Sync(rules dataplane.Rules) error { return n.SyncWith(Auto, rules) }

// SyncWith is Sync by the given method.
func (n *Node) SyncWith(m Method, rules dataplane.Rules) error {
	rs, err := own(rules)
	if err != nil {
		return err
	}
	const doing = "change the rules"
	var todo []stage
	if err := n.within(doing, func() error {
		have, err := n.saved()
		todo = stages(changes(have, rs))
		return err
	}); err != nil {
		return err
	}
	if m == Auto {
		m = methodFor(todo)
	}
	if m == Restore {
		return n.within(doing, func() error { return n.restore(restoreText(todo)) })
	}
	return n.call(doing, todo)
}

func methodFor(todo []stage) Method {
	if countCalls(todo) > maxCalls {
		return Restore
	}
	return Calls
}

// Save is the namespace's rules as iptables-save prints them, in the form of [RuleSet.Save]: without comment lines,
// with counters 0, filter and nat first. Equal texts mean equal rules.
func (n *Node) Save() (string, error) {
	var text string
	err := n.within("read the rules", func() error {
		tables, err := n.saved()
		text = savedText(tables)
		return err
	})
	return text, err
}

// Dump is the output of `iptables-save -c` as it is, and the counters in it: for every rule how often it matched, in the
// order of Save. It costs one process however many chains there are; go-iptables' StructuredStats would take one for each.
func (n *Node) Dump() (text string, all []dataplane.Counter, err error) {
	err = n.within("read the rules' counters", func() error {
		if text, err = n.output("-c"); err != nil {
			return err
		}
		tables, malformed := parseSaved(text)
		all = counters(tables)
		return malformed
	})
	return text, all, err
}

// within runs f in the namespace; what f starts is in it too.
func (n *Node) within(doing string, f func() error) error {
	if err := n.ns.Do(f); err != nil {
		return fmt.Errorf("%s of %s: %w", doing, n.ns.Name(), err)
	}
	return nil
}

// restore must be called in the namespace.
func (n *Node) restore(text string) error {
	if text == "" {
		return nil
	}
	if n.programs.flavour == NFT {
		text = transactions(text, maxTransaction)
	}
	_, err := run(text, n.programs.restore, "--noflush", "-w", strconv.Itoa(lockWait))
	return err
}

// call makes the calls of each stage, lanes side by side: most of a call is the start of a process, which other
// processors can do meanwhile. iptables itself sees to it that changes do not collide: nft starts over if the rules
// changed under it, legacy has its lock. It must not be called in the namespace: each lane goes there on its own.
func (n *Node) call(doing string, todo []stage) error {
	if countCalls(todo) == 0 {
		return nil
	}
	c, err := client(n.programs.iptables)
	if err != nil {
		return err
	}
	for _, s := range todo {
		if err := n.callStage(doing, c, s); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) callStage(doing string, c *iptables.IPTables, s stage) error {
	lanes := make(chan lane, len(s))
	for _, l := range s {
		lanes <- l
	}
	close(lanes)
	workers := min(len(s), maxWorkers, runtime.GOMAXPROCS(0))
	results := make(chan error, workers)
	for range workers {
		go func() {
			results <- n.within(doing, func() error {
				for l := range lanes {
					for _, e := range l {
						if err := e.apply(c); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}()
	}
	var err error
	for range workers {
		err = errors.Join(err, <-results)
	}
	return err
}

// saved must be called in the namespace.
func (n *Node) saved() ([]savedTable, error) {
	text, err := n.output()
	if err != nil {
		return nil, err
	}
	return parseSaved(text)
}

// output is what iptables-save prints; it must be called in the namespace.
func (n *Node) output(args ...string) (string, error) {
	text, err := run("", n.programs.save, args...)
	if err != nil {
		return "", err
	}
	// iptables-nft-save says so in a comment, leaves the table out and reports success.
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# Table") && strings.Contains(line, "incompatible") {
			return "", fmt.Errorf("%s: %s", n.programs.save, strings.TrimSpace(strings.TrimPrefix(line, "# ")))
		}
	}
	return text, nil
}
