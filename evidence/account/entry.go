package account

import (
	"time"

	"github.com/ctsim/ctsim/evidence"
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
	FirstEntry *evidence.EntryFacts `json:"first_entry"`
	LastEntry  *evidence.EntryFacts `json:"last_entry"`
	// Made is when, in seconds since the start of the run; Ended too, nil if the entry was there to the end.
	Made  float64  `json:"made"`
	Ended *float64 `json:"ended,omitempty"`
	// By tells who destroyed it, in words; empty if nobody did.
	By string `json:"by,omitempty"`
}

// Entries are the lives of a connection's conntrack entries, from its events alone.
func (a *Account) Entries(e *evidence.Evidence) []Entry {
	type key struct {
		node            string
		original, reply conntrack.Tuple
	}
	out := []Entry{}
	open := map[key]int{}
	for _, ev := range a.Events {
		k := key{ev.Node, ev.Original, ev.Reply}
		i, known := open[k]
		if ev.Type == conntrack.New || !known {
			open[k], i = len(out), len(out)
			out = append(out, Entry{Node: ev.Node, Backend: e.Pick(ev), First: entryLine(ev), FirstEntry: evidence.FactsOf(ev), Made: e.Since(ev.Time)})
		}
		out[i].Last, out[i].LastEntry = entryLine(ev), evidence.FactsOf(ev)
		if ev.Type == conntrack.Destroy {
			t := e.Since(ev.Time)
			out[i].Ended, out[i].By = &t, e.DestroyedBy(ev)
			delete(open, k)
		}
	}
	return out
}

// entryLine is the entry as `conntrack -L` would have printed it at the event.
func entryLine(ev *evidence.EntryEvent) string {
	line := ev.Entry
	line.Start, line.Stop = time.Time{}, time.Time{} // no delta-time=, as in the timeline
	return line.String()
}
