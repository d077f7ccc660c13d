package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
)

// rulePath is the way of one packet through the rules of a node.
type rulePath struct {
	Time, At, Kind, Packet string
	Hops                   []ruleHop
	// Nat is true if the nat table was asked.
	Nat bool
	src string
}

// ruleHop is a rule or a policy that a packet met.
type ruleHop struct {
	Table, Chain, Rule, Verdict string
	Nat, Drop                   bool
}

func newPath(o evidence.Observation) *rulePath {
	facts := o.Path
	p := &rulePath{Time: stamp(o.T), At: o.At, Kind: o.Kind, Packet: pathTracked(facts), src: facts.Src}
	for _, h := range facts.Hops {
		p.Hops = append(p.Hops, newHop(h))
	}
	p.Nat = slices.ContainsFunc(p.Hops, func(h ruleHop) bool { return h.Nat })
	return p
}

// newHop is a rule by its text, or by its number if the text is not known; a policy or return by its kind.
func newHop(h evidence.HopFacts) ruleHop {
	out := ruleHop{Table: h.Table, Chain: h.Chain, Rule: h.Kind, Verdict: cmp.Or(h.Target, h.Verdict), Nat: h.Table == "nat", Drop: h.Verdict == "DROP"}
	switch {
	case h.Rule != "":
		out.Rule = h.Rule
	case h.Handle != 0:
		out.Rule = fmt.Sprintf("handle %d", h.Handle)
	}
	return out
}

// rulesMet is before and after the break: the last packet that still had its entry, and the first that had none any more.
// Dropped is the first packet that a rule dropped although no entry was lost; the other two are nil then.
type rulesMet struct{ Before, After, Dropped *rulePath }

// rulesAround picks the two paths around the moment when the entry was lost, on the node that translates.
func rulesAround(seen []evidence.Observation, entries []account.Entry) rulesMet {
	var met rulesMet
	node, ended := lostEntry(entries)
	if node == "" {
		i := slices.IndexFunc(seen, func(o evidence.Observation) bool {
			return o.Path != nil && o.Path.Verdict == "DROP"
		})
		if i >= 0 {
			met.Dropped = newPath(seen[i])
		}
		return met
	}
	var before []evidence.Observation
	for _, o := range seen {
		if o.Path == nil || o.At != node || len(o.Path.Hops) == 0 {
			continue
		}
		switch {
		case o.T < ended:
			before = append(before, o)
		case met.After == nil && o.Kind != "ESTABLISHED":
			met.After = newPath(o)
		}
	}
	if met.After == nil {
		return met // nothing to compare a packet before it with
	}
	for _, o := range before {
		// The last of the same direction.
		if p := newPath(o); met.Before == nil || p.src == met.After.src {
			met.Before = p
		}
	}
	return met
}

// lostEntry is the node that translates, and when it lost the entry that matters: the one before the entry that led
// elsewhere, or else the last that was destroyed.
func lostEntry(entries []account.Entry) (node string, ended float64) {
	changed := renewals(entries)
	for i := len(entries) - 1; i >= 0; i-- {
		if f, ok := changed[i]; !ok || f.Tone != "bad" {
			continue
		}
		for k := i - 1; k >= 0; k-- {
			if e := entries[k]; e.Node == entries[i].Node && e.Backend != "" && e.Ended != nil {
				return e.Node, *e.Ended
			}
		}
	}
	for _, e := range entries {
		if e.Backend != "" && e.Ended != nil && !byReset(e) {
			node, ended = e.Node, *e.Ended
		}
	}
	return node, ended
}

// byReset tells whether a RST ended an entry, which no break does.
func byReset(e account.Entry) bool { return e.LastEntry != nil && e.LastEntry.Destroyer == "rst" }

// ruleCounter is a rule with its counters.
type ruleCounter struct {
	account.RuleCount
	Delta uint64
	// Moved is true if packets met the rule after the first break.
	Moved bool
}

// ruleCounters are the rules that packets met after the first break, those of the nat table first, and the others.
func ruleCounters(all []account.RuleCount) (moved, others []ruleCounter) {
	for _, c := range all {
		if c.Packets > c.Before {
			moved = append(moved, ruleCounter{RuleCount: c, Delta: c.Packets - c.Before, Moved: true})
		} else {
			others = append(others, ruleCounter{RuleCount: c})
		}
	}
	slices.SortStableFunc(moved, func(a, b ruleCounter) int { return natFirst(a) - natFirst(b) })
	return moved, others
}

func natFirst(c ruleCounter) int {
	if c.Table == "nat" {
		return 0
	}
	return 1
}

// group is connections that ended alike.
type group struct {
	Outcome, Errno, Noticed, Peer, Rerouted string
	Tone                                    string
	Count                                   int
	Percent                                 string
	// Example is the number of the first of them.
	Example int
}

// groups counts connections by what became of them, the largest group first.
func groups(all []account.Connection) []group {
	index := map[group]int{}
	var out []group
	for _, c := range all {
		g := group{Outcome: string(c.Outcome), Errno: c.Errno, Noticed: c.NoticedBy, Peer: string(c.Peer), Rerouted: rerouted(c)}
		i, known := index[g]
		if !known {
			i = len(out)
			index[g] = i
			first := g
			first.Example, first.Tone = c.ID, "bad"
			if c.Outcome == account.Survived {
				first.Tone = "good"
			}
			out = append(out, first)
		}
		out[i].Count++
	}
	for i := range out {
		out[i].Percent = fmt.Sprintf("%.1f %%", 100*float64(out[i].Count)/float64(len(all)))
	}
	slices.SortStableFunc(out, func(a, b group) int { return b.Count - a.Count })
	return out
}

func rerouted(c account.Connection) string {
	n := len(c.Backends)
	switch {
	case n < 2:
		return "no new entry"
	case c.Backends[0] != c.Backends[n-1]:
		return "to another backend"
	}
	return "to the same backend"
}
