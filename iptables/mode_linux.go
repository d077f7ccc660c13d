package iptables

import (
	"fmt"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// Mode is kube-proxy's iptables mode as a [dataplane.Mode]. The zero value works with the command `iptables` of this
// machine.
type Mode struct{ Flavour Flavour }

var _ dataplane.Mode = Mode{}

// Name is "iptables".
func (Mode) Name() string { return "iptables" }

// Rules are a [RuleSet], see [Rules].
func (Mode) Rules(cfg kube.ProxyConfig, services ...kube.Service) dataplane.Rules {
	return Rules(cfg, services...)
}

// Commands are calls of iptables, see [Commands]. It panics if the rules are of another mode.
func (Mode) Commands(from, to dataplane.Rules) []string {
	return Commands(from.(RuleSet), to.(RuleSet))
}

// Open looks for the iptables commands of the flavour, see [Open].
func (m Mode) Open(ns *topology.Namespace) (dataplane.Node, error) {
	n, err := Open(ns, m.Flavour)
	if err != nil {
		return nil, err // and not a Node that is nil
	}
	return n, nil
}

// own gives rules that were made by [Rules] and are valid.
func own(rules dataplane.Rules) (RuleSet, error) {
	rs, ok := rules.(RuleSet)
	if !ok {
		return RuleSet{}, fmt.Errorf("rules of another mode: %T", rules)
	}
	return rs, rs.err
}
