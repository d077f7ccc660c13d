package report

import (
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// evidence writes the observations that the story rests on, or all of them if asked to.
func (t *text) evidence(r *scenario.Result) {
	if t.o.Verbose {
		for _, c := range r.Connections {
			t.title("connection " + connection(c))
		}
		t.observations("evidence, every observation", r.Timeline)
		return
	}
	example, found := exampleOf(r.Connections)
	if !found {
		t.observations("evidence", telling(r.Timeline, 0))
		return
	}
	title := "evidence: connection " + connection(example)
	t.observations(title, telling(r.Timeline, example.ID))
	if others := len(r.Connections) - 1; others > 0 {
		t.line("  %s", t.paint(faint, fmt.Sprintf("… and %d more %s, shown with --verbose", others, plural(others, "connection"))))
	}
}

// exampleOf picks the connection to tell the story by: the first that was reset, or else the first that was lost in
// any way, or else the first; false if there is none.
func exampleOf(all []scenario.Connection) (example scenario.Connection, found bool) {
	for _, c := range all {
		if c.Outcome == scenario.Reset {
			return c, true
		}
	}
	for _, c := range all {
		if c.Outcome != scenario.Survived {
			return c, true
		}
	}
	if len(all) == 0 {
		return scenario.Connection{}, false
	}
	return all[0], true
}

// telling are the observations that tell the story of one connection: what was done, what conntrack reported, what the
// applications got, and who sent a RST. Those that belong to no connection are part of every story.
func telling(timeline []scenario.Observation, id int) []scenario.Observation {
	var out []scenario.Observation
	for _, o := range timeline {
		if o.Connection != 0 && o.Connection != id {
			continue
		}
		switch {
		case o.Source == "step", o.Source == "conntrack", o.Source == "client", o.Source == "server":
			out = append(out, o)
		case o.Source == "packet" && o.Kind == "RST":
			out = append(out, o)
		}
	}
	return out
}

// connection is one line: who, what became of it, who noticed, where its entries led.
func connection(c scenario.Connection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d from %s: %s", c.ID, c.Local, c.Outcome)
	if c.Errno != "" {
		fmt.Fprintf(&b, ", %s at the %s", c.Errno, c.NoticedBy)
	}
	if c.Peer != "" {
		fmt.Fprintf(&b, ", other side %s", c.Peer)
	}
	if len(c.Backends) > 0 {
		fmt.Fprintf(&b, ", translated to %s", strings.Join(c.Backends, " → "))
	}
	if c.Breaks > 0 {
		fmt.Fprintf(&b, ", entry lost %s", times(c.Breaks))
	}
	return b.String()
}

// observations writes one line for each, in columns: seconds since the start, where, what. A line of conntrack stands as
// `conntrack -E` prints it.
func (t *text) observations(title string, all []scenario.Observation) {
	if len(all) == 0 {
		return
	}
	t.title(title)
	at, source := 0, 0
	for _, o := range all {
		at, source = max(at, columns(o.At)), max(source, columns(o.Source))
	}
	for _, o := range all {
		stamp := t.paint(faint, fmt.Sprintf("%+.6f", o.T))
		t.line("  %s %-*s %-*s %s", stamp, at, Plain(o.At), source, Plain(o.Source), t.paint(observationStyle(o), what(o)))
	}
}

// what is an observation's text, with its kind in front unless the text says it already.
func what(o scenario.Observation) string {
	s := Plain(o.Text)
	if o.Source == "conntrack" || o.Kind == "" || strings.Contains(strings.ToLower(s), strings.ToLower(o.Kind)) {
		return s
	}
	return o.Kind + ": " + s
}

func observationStyle(o scenario.Observation) style {
	switch {
	case o.Kind == "RST", strings.Contains(o.Text, "ECONNRESET"):
		return red
	case o.Source == "step":
		return cyan
	case o.Source == "conntrack" && o.Kind == "DESTROY":
		return yellow
	}
	return ""
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
