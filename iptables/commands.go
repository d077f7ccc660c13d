package iptables

import (
	"fmt"
	"slices"
)

// Commands are the calls of iptables that change a node's rules from one set to another, in an order in which at no
// moment a packet finds an endpoint's place empty; nil if the sets are the same. It is pure.
func Commands(from, to RuleSet) []string {
	var out []string
	for _, s := range stages(changes(from.asSaved(), to)) {
		for _, e := range slices.Concat(s...) {
			out = append(out, e.commands()...)
		}
	}
	return out
}

func (e edit) commands() []string {
	call := fmt.Sprintf("iptables -w -t %s ", e.table)
	switch e.op {
	case opNewChain:
		return []string{call + "-N " + e.chain}
	case opAppend:
		return []string{fmt.Sprintf("%s-A %s %s", call, e.chain, e.rule)}
	case opInsert:
		return []string{fmt.Sprintf("%s-I %s %d %s", call, e.chain, e.number, e.rule)}
	case opReplace:
		return []string{fmt.Sprintf("%s-R %s %d %s", call, e.chain, e.number, e.rule)}
	case opDelete:
		return []string{fmt.Sprintf("%s-D %s %d", call, e.chain, e.number)}
	case opDeleteChain:
		return []string{call + "-F " + e.chain, call + "-X " + e.chain}
	}
	panic(fmt.Sprintf("iptables: unknown operation %d", e.op))
}
