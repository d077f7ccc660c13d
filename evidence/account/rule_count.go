package account

import (
	"strings"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/evidence"
)

// RuleCount is a rule with its packet counter before the first break and at the end of the run. In the nat table only
// the first packet of a connection is counted, so a Packets that exceeds Before shows that the table was asked again.
type RuleCount struct {
	Node  string `json:"node"`
	Table string `json:"table"`
	Chain string `json:"chain"`
	// Rule is as iptables-save prints it, after `-A CHAIN `.
	Rule string `json:"rule"`
	// Decides is true if the rule stands in a chain of the nat table that decides on the backend: a service's, or an
	// endpoint's.
	Decides bool   `json:"decides,omitempty"`
	Before  uint64 `json:"before"`
	Packets uint64 `json:"packets"`
}

// RuleCounts are the rules that packets have met. A rule that was put in after the first count began at zero.
func RuleCounts(e *evidence.Evidence) []RuleCount {
	out := []RuleCount{}
	for _, node := range e.Nodes {
		before := map[string]uint64{}
		for _, c := range e.Before[node] {
			before[ruleKey(c)] += c.Packets
		}
		for _, c := range e.Rules[node] {
			if c.Packets > 0 {
				out = append(out, RuleCount{Node: node, Table: c.Table, Chain: c.Chain, Rule: c.Rule, Decides: decides(c),
					Before: min(before[ruleKey(c)], c.Packets), Packets: c.Packets})
			}
		}
	}
	return out
}

// decides tells whether a rule stands in one of kube-proxy's chains for a service or an endpoint: KUBE-SERVICES, KUBE-SVC-…,
// KUBE-SEP-….
func decides(c dataplane.Counter) bool {
	return c.Table == "nat" && strings.HasPrefix(c.Chain, "KUBE-S")
}

func ruleKey(c dataplane.Counter) string { return c.Table + " " + c.Chain + " " + c.Rule }
