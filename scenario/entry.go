package scenario

import (
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
)

// Entry is one life of a conntrack entry: from the event that made it to the one that destroyed it.
type Entry struct {
	Node string `json:"node"`
	// Backend is the pod that it leads to; empty if it translates nothing.
	Backend string `json:"backend,omitempty"`
	// First and Last are the entry as `conntrack -L` would have printed it when it was made, and after its last change.
	First string `json:"first"`
	Last  string `json:"last"`
	// FirstEntry and LastEntry are the same for programs that do not want to read the lines.
	FirstEntry *EntryFacts `json:"first_entry"`
	LastEntry  *EntryFacts `json:"last_entry"`
	// Made is when, in seconds since the start of the run; Ended too, nil if the entry was there to the end.
	Made  float64  `json:"made"`
	Ended *float64 `json:"ended,omitempty"`
	// By tells who destroyed it, in words; empty if nobody did.
	By string `json:"by,omitempty"`
}

// entries are the lives of a connection's conntrack entries, from its events alone.
func (a *account) entries(e *evidence) []Entry {
	type key struct {
		node            string
		original, reply conntrack.Tuple
	}
	out := []Entry{}
	open := map[key]int{}
	for _, ev := range a.events {
		k := key{ev.node, ev.Original, ev.Reply}
		i, known := open[k]
		if ev.Type == conntrack.New || !known {
			open[k], i = len(out), len(out)
			out = append(out, Entry{Node: ev.node, Backend: e.pick(ev), First: entryLine(ev), FirstEntry: entryFacts(ev), Made: e.since(ev.Time)})
		}
		out[i].Last, out[i].LastEntry = entryLine(ev), entryFacts(ev)
		if ev.Type == conntrack.Destroy {
			t := e.since(ev.Time)
			out[i].Ended, out[i].By = &t, e.destroyedBy(ev)
			delete(open, k)
		}
	}
	return out
}

// entryLine is the entry as `conntrack -L` would have printed it at the event.
func entryLine(ev *entryEvent) string {
	line := ev.Entry
	line.Start, line.Stop = time.Time{}, time.Time{} // no delta-time=, as in the timeline
	return line.String()
}
