package scenario

import (
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe/conntrack"
)

// entries are the lives of a connection's conntrack entries, from its events alone.
func (e *evidence) entries(s *story) []Entry {
	type key struct {
		node            string
		original, reply conntrack.Tuple
	}
	out := []Entry{}
	open := map[key]int{}
	for _, ev := range s.events {
		k := key{ev.node, ev.Original, ev.Reply}
		i, known := open[k]
		if ev.Type == conntrack.New || !known {
			open[k], i = len(out), len(out)
			out = append(out, Entry{Node: ev.node, Backend: e.pick(ev), First: entryLine(ev), Made: e.since(ev.Time)})
		}
		out[i].Last = entryLine(ev)
		if ev.Type == conntrack.Destroy {
			t := e.since(ev.Time)
			out[i].Ended, out[i].By = &t, e.destroyedBy(ev)
			delete(open, k)
		}
	}
	return out
}

// entryLine is the entry as `conntrack -L` would have printed it at the event.
func entryLine(ev nodeEvent) string {
	ev.Start, ev.Stop = time.Time{}, time.Time{} // no delta-time=, as in the timeline
	return ev.Entry.String()
}

// ruleCounts are the rules that packets have met. A rule that was put in after the first count began at zero.
func (e *evidence) ruleCounts(nodes []string) []RuleCount {
	out := []RuleCount{}
	for _, node := range nodes {
		before := map[string]uint64{}
		for _, c := range e.before[node] {
			before[ruleKey(c)] += c.Packets
		}
		for _, c := range e.rules[node] {
			if c.Packets > 0 {
				out = append(out, RuleCount{Node: node, Table: c.Table, Chain: c.Chain, Rule: c.Rule,
					Before: min(before[ruleKey(c)], c.Packets), Packets: c.Packets})
			}
		}
	}
	return out
}

func ruleKey(c dataplane.Counter) string { return c.Table + " " + c.Chain + " " + c.Rule }
