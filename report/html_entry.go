package report

import (
	"slices"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// entryLine is a conntrack entry taken apart again, from the line that `conntrack -L` or -E prints.
type entryLine struct {
	Protocol, Left, State string
	Original, Reply       tupleLine
	// Flags are UNREPLIED, ASSURED …
	Flags []string
}

type tupleLine struct{ Src, Dst, Sport, Dport string }

// From and To are ip:port, or the address alone for a protocol without ports.
func (t tupleLine) From() string { return join(t.Src, t.Sport) }

// To is like From.
func (t tupleLine) To() string { return join(t.Dst, t.Dport) }

func join(address, port string) string {
	if port == "" {
		return address
	}
	return address + ":" + port
}

// parseEntry takes a line apart; false if it is none of an entry.
func parseEntry(line string) (e entryLine, ok bool) {
	words := strings.Fields(line)
	if len(words) > 0 && slices.Contains([]string{"[NEW]", "[UPDATE]", "[DESTROY]"}, words[0]) {
		words = words[1:]
	}
	if len(words) < 3 {
		return e, false
	}
	e.Protocol, words = words[0], words[2:]
	tuple := &e.Original
	for _, word := range words {
		key, value, assigned := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "["):
			e.Flags = append(e.Flags, strings.Trim(word, "[]"))
		case !assigned && strings.Trim(word, "0123456789") == "":
			e.Left = word
		case !assigned:
			e.State = word
		case key == "src" && tuple.Src != "":
			tuple = &e.Reply
			fallthrough
		default:
			tuple.set(key, value)
		}
	}
	return e, e.Original.Src != "" && e.Reply.Src != ""
}

func (t *tupleLine) set(key, value string) {
	switch key {
	case "src":
		t.Src = value
	case "dst":
		t.Dst = value
	case "sport":
		t.Sport = value
	case "dport":
		t.Dport = value
	}
}

// translated tells whether the entry changes an address: a reply then does not come from where the original went.
func (e entryLine) translated() bool {
	return e.Original.To() != e.Reply.From() || e.Original.From() != e.Reply.To()
}

// summary is the entry in a few words: "ESTABLISHED [UNREPLIED] 300 s".
func (e entryLine) summary() string {
	words := []string{}
	if e.State != "" {
		words = append(words, e.State)
	}
	for _, f := range e.Flags {
		words = append(words, "["+f+"]")
	}
	if e.Left != "" {
		words = append(words, e.Left+" s left")
	}
	return strings.Join(words, " ")
}

// leads is where the entry leads: "10.108.33.37:2222 ⇒ 172.18.166.130:2222".
func (e entryLine) leads() string {
	if !e.translated() {
		return e.Original.From() + " → " + e.Original.To() + ", not translated"
	}
	s := e.Original.To() + " ⇒ " + e.Reply.From()
	if e.Original.From() != e.Reply.To() {
		s += ", source " + e.Original.From() + " ⇒ " + e.Reply.To()
	}
	return s
}

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
func renewals(entries []scenario.Entry) map[int]fresh {
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
func compare(entries []scenario.Entry) *comparison {
	changed := renewals(entries)
	after := -1
	for i := range entries {
		if f, ok := changed[i]; ok && (after < 0 || f.Tone == "bad" || changed[after].Tone != "bad") {
			after = i
		}
	}
	if after < 0 {
		i := slices.IndexFunc(entries, func(e scenario.Entry) bool { return e.Backend != "" })
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
	c.Rows = rows(b, b.Last, &a, a.First)
	return c
}

// alone is an entry that was not followed by another: at its beginning, and at its end.
func alone(e scenario.Entry) *comparison {
	c := &comparison{Node: e.Node, Before: lifeOf(e, e.Last)}
	c.Verdict, c.Tone = "the entry was there to the end", "same"
	if e.Ended != nil {
		c.Verdict, c.Tone = "no entry was made in its place", "warn"
		if e.By != "" {
			c.Verdict = e.By + "; " + c.Verdict
		}
	}
	c.Rows = rows(e, e.Last, nil, "")
	return c
}

func lifeOf(e scenario.Entry, line string) *life {
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

// rows are the fields of two entries; after is nil if there is no second.
func rows(before scenario.Entry, beforeLine string, after *scenario.Entry, afterLine string) []compared {
	b, _ := parseEntry(beforeLine)
	bl := lifeOf(before, beforeLine)
	var a entryLine
	al := &life{}
	if after != nil {
		a, _ = parseEntry(afterLine)
		al = lifeOf(*after, afterLine)
	}
	flags := func(e entryLine) string { return strings.Join(e.Flags, " ") }
	out := []compared{
		{Name: "leads to pod", Before: bl.Backend, After: al.Backend},
		{Name: "original", Before: b.Original.From() + " → " + b.Original.To(), After: a.Original.From() + " → " + a.Original.To()},
		{Name: "reply", Before: b.Reply.From() + " → " + b.Reply.To(), After: a.Reply.From() + " → " + a.Reply.To()},
		{Name: "state", Before: b.State, After: a.State},
		{Name: "flags", Before: flags(b), After: flags(a)},
		{Name: "seconds left", Before: b.Left, After: a.Left},
		{Name: "made", Before: bl.Made, After: al.Made},
		{Name: "ended", Before: bl.Ended, After: al.Ended},
		{Name: "ended by", Before: bl.By, After: al.By},
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
