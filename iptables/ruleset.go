package iptables

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/kube"
)

// RuleSet is all rules of one node, as data. The zero value has no tables.
type RuleSet struct {
	// Tables are filter and nat, in this order.
	Tables []Table

	cfg kube.ProxyConfig
	err error
}

// Table is one table of rules.
type Table struct {
	// Name is "filter" or "nat".
	Name string
	// Chains are in the order of iptables-save: the built-in ones as packets meet them, then the others by name.
	Chains []Chain
}

// Chain is one chain of a table.
type Chain struct {
	// Name is the chain's, "KUBE-SERVICES" for instance; at most 28 bytes.
	Name string
	// Policy is "ACCEPT" for a built-in chain, empty for any other.
	Policy string
	// Rules are in the order in which a packet meets them. Empty is an empty chain, which exists all the same.
	Rules []Rule
}

// Rule is one rule: its arguments as given to iptables after `-A CHAIN`, unquoted, in the order in which iptables-save
// prints them. Probabilities are as kube-proxy writes them, with ten digits.
type Rule []string

// Rules writes the rules that kube-proxy would have written on a node with these settings and services. The order of
// the services makes no difference: they stand in the order of their names (kube-proxy has them in random order).
// Services that are not valid give a RuleSet that cannot be installed, see [RuleSet.Err].
func Rules(cfg kube.ProxyConfig, services ...kube.Service) RuleSet {
	services = slices.Clone(services)
	slices.SortFunc(services, func(a, b kube.Service) int {
		return cmp.Or(strings.Compare(a.String(), b.String()), cmp.Compare(a.Protocol, b.Protocol))
	})
	if err := kube.Validate(cfg, services...); err != nil {
		return RuleSet{cfg: cfg, err: err}
	}
	filter, nat := filterFrame(cfg), natFrame()
	comments := endpointCount(services) <= largeCluster
	for _, s := range services {
		addService(cfg, filter, nat, s, comments)
	}
	nat.add(chainServices, comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain"),
		Rule{"-m", "addrtype", "--dst-type", "LOCAL", "-j", chainNodePorts})
	return RuleSet{Tables: []Table{filter.table(), nat.table()}, cfg: cfg}
}

// Err is why the RuleSet has no rules: the settings or services given to [Rules] were not valid. It is nil if they were.
func (r RuleSet) Err() error { return r.err }

// Chain is the chain of that name and table ("nat", "KUBE-SVC-…"); false if there is none.
func (r RuleSet) Chain(table, name string) (Chain, bool) {
	for _, t := range r.Tables {
		if t.Name != table {
			continue
		}
		for _, c := range t.Chains {
			if c.Name == name {
				return c, true
			}
		}
	}
	return Chain{}, false
}

// frame is the part that does not depend on services: what kube-proxy would have written had it none.
func (r RuleSet) frame() RuleSet { return Rules(r.cfg) }

// largeCluster is the number of endpoints on a node above which kube-proxy leaves out the comments of the rules it has
// most of (largeClusterEndpointsThreshold).
const largeCluster = 1000

func endpointCount(services []kube.Service) int {
	n := 0
	for _, s := range services {
		n += len(s.SortedEndpoints())
	}
	return n
}

// tableBuilder collects the chains of a table in any order.
type tableBuilder struct {
	name    string
	builtin []string
	chains  map[string]*Chain
}

func newTable(name string, builtin ...string) *tableBuilder {
	t := &tableBuilder{name: name, builtin: builtin, chains: map[string]*Chain{}}
	for _, c := range builtin {
		t.chains[c] = &Chain{Name: c, Policy: "ACCEPT"}
	}
	return t
}

// declare makes empty chains.
func (t *tableBuilder) declare(names ...string) {
	for _, name := range names {
		t.chains[name] = &Chain{Name: name}
	}
}

// add appends a rule, given in parts, to a chain, which is made if it is not there.
func (t *tableBuilder) add(chain string, parts ...Rule) {
	if t.chains[chain] == nil {
		t.declare(chain)
	}
	c := t.chains[chain]
	c.Rules = append(c.Rules, slices.Concat(parts...))
}

func (t *tableBuilder) table() Table {
	out := Table{Name: t.name}
	for _, name := range t.builtin {
		out.Chains = append(out.Chains, *t.chains[name])
	}
	var own []Chain
	for _, c := range t.chains {
		if c.Policy == "" {
			own = append(own, *c)
		}
	}
	slices.SortFunc(own, func(a, b Chain) int { return strings.Compare(a.Name, b.Name) })
	out.Chains = append(out.Chains, own...)
	return out
}
