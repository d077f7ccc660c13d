package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
)

// comparison is an entry before and after the moment that matters, side by side.
type comparison struct {
	Node          string
	Before, After *life
	Rows          []compared
	// Verdict says in a sentence what became of the translation.
	Verdict string
	// Tone is bad if the flow went elsewhere, warn if it is gone, empty if nothing changed for the flow.
	Tone string
}

type compared struct {
	Name, Before, After string
	Differs             bool
}

// life is an entry with its times as text.
type life struct {
	Line, Backend, Made, Ended, By string
}

// fresh is what a new entry meant for a flow that had one before on the same node.
type fresh struct{ Text, Tone string }

// renewals finds the entries that were made although the connection had one on that node: by index in Entries.
func renewals(entries []account.Entry) map[int]fresh {
	out := map[int]fresh{}
	last := map[string]string{} // the backend that the node's last translating entry led to
	for i, e := range entries {
		before, known := last[e.Node]
		switch {
		case known && e.Backend == "":
			out[i] = fresh{"not translated: a new entry without DNAT", "bad"}
		case known && e.Backend == before:
			out[i] = fresh{"translated afresh, to " + e.Backend + " again", "same"}
		case known:
			out[i] = fresh{"re-translated: " + before + " → " + e.Backend, "bad"}
		}
		if e.Backend != "" {
			last[e.Node] = e.Backend
		}
	}
	return out
}

// compare picks the two entries to show: the last that went elsewhere than the one before it, or else the last that was
// made anew, or else the one there is, which has no successor. Nil if there is none that translates.
func compare(entries []account.Entry) *comparison {
	changed := renewals(entries)
	after := -1
	for i := range entries {
		if f, ok := changed[i]; ok && (after < 0 || f.Tone == "bad" || changed[after].Tone != "bad") {
			after = i
		}
	}
	if after < 0 {
		i := slices.IndexFunc(entries, func(e account.Entry) bool { return e.Backend != "" })
		if i < 0 {
			return nil
		}
		return alone(entries[i])
	}
	before := -1
	for i := range after {
		if entries[i].Node == entries[after].Node && entries[i].Backend != "" {
			before = i
		}
	}
	b, a := entries[before], entries[after]
	c := &comparison{Node: b.Node, Before: lifeOf(b, b.Last), After: lifeOf(a, a.First)}
	c.Tone = changed[after].Tone
	c.Verdict = changed[after].Text
	c.Rows = rows(c.Before, b.LastEntry, c.After, a.FirstEntry)
	return c
}

// alone is an entry that was not followed by another: at its beginning, and at its end.
func alone(e account.Entry) *comparison {
	c := &comparison{Node: e.Node, Before: lifeOf(e, e.Last)}
	c.Verdict, c.Tone = "the entry was there to the end", "same"
	if e.Ended != nil {
		c.Verdict, c.Tone = "no entry was made in its place", "warn"
		if e.By != "" {
			c.Verdict = e.By + "; " + c.Verdict
		}
	}
	c.Rows = rows(c.Before, e.LastEntry, nil, nil)
	return c
}

func lifeOf(e account.Entry, line string) *life {
	l := &life{Line: line, Backend: e.Backend, Made: stamp(e.Made), By: e.By, Ended: "never"}
	if e.Backend == "" {
		l.Backend = "none"
	}
	if e.Ended != nil {
		l.Ended = stamp(*e.Ended)
	}
	if e.By == "" {
		l.By = "–"
	}
	return l
}

// rows are the fields of two entries; the second is nil if there is none.
func rows(before *life, b *evidence.EntryFacts, after *life, a *evidence.EntryFacts) []compared {
	known := func(e *evidence.EntryFacts) *evidence.EntryFacts { return cmp.Or(e, &evidence.EntryFacts{}) }
	b, a = known(b), known(a)
	al := cmp.Or(after, &life{})
	flags := func(e *evidence.EntryFacts) string { return strings.Join(entryFlags(e), " ") }
	out := []compared{
		{Name: "leads to pod", Before: before.Backend, After: al.Backend},
		{Name: "original", Before: tupleWay(b.Original), After: tupleWay(a.Original)},
		{Name: "reply", Before: tupleWay(b.Reply), After: tupleWay(a.Reply)},
		{Name: "state", Before: b.State, After: a.State},
		{Name: "flags", Before: flags(b), After: flags(a)},
		{Name: "seconds left", Before: entryLeft(b), After: entryLeft(a)},
		{Name: "made", Before: before.Made, After: al.Made},
		{Name: "ended", Before: before.Ended, After: al.Ended},
		{Name: "ended by", Before: before.By, After: al.By},
	}
	if b.State == "" && a.State == "" { // UDP has none
		out = slices.DeleteFunc(out, func(c compared) bool { return c.Name == "state" })
	}
	says := []string{"leads to pod", "original", "reply", "state", "flags", "seconds left"}
	for i := range out {
		if out[i].Before == "" {
			out[i].Before = "–"
		}
		if after == nil {
			out[i].After = ""
			continue
		}
		if out[i].After == "" {
			out[i].After = "–"
		}
		// When they were made and how they ended differs for any two; it says nothing.
		out[i].Differs = slices.Contains(says, out[i].Name) && out[i].Before != out[i].After
	}
	return out
}
