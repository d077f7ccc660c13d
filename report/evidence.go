package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
)

// evidence writes the observations that the account rests on, or all of them if asked to.
func (t *text) evidence(r *result.Result) {
	if t.o.Verbose {
		t.connections(r.Connections...)
		t.observations("evidence, every observation", r.Timeline)
		return
	}
	example, found := exampleOf(r)
	if !found {
		t.observations("evidence", fold(telling(r, 0)))
		return
	}
	if len(r.Connections) <= fewConnections { // with so few, each is there for a reason of its own
		t.connections(r.Connections...)
	} else {
		t.connections(example)
		others := account.Count(len(r.Connections)-1, "more connection", "more connections")
		t.line("  %s", t.paint(faint, "… and "+others+", shown with --verbose"))
	}
	before, earlier, after := lastBreak(telling(r, example.ID))
	t.observations("evidence", fold(slices.Concat(before, earlierBreaks(earlier), after)))
}

// fewConnections is how many are told of one by one.
const fewConnections = 4

// connections writes a sentence for each: who, what became of it, who noticed, where its entries led.
func (t *text) connections(all ...account.Connection) {
	if len(all) == 0 {
		return
	}
	title := "connections"
	if len(all) == 1 {
		title = "connection"
	}
	if t.interrupted { // what is told of them is so until then
		title += ", as far as the run went"
	}
	t.title(title)
	if len(all) == 1 {
		t.wrapped("  ", "  ", connection(all[0]))
		return
	}
	for _, c := range all {
		number := fmt.Sprintf("%3d. ", c.ID)
		t.wrapped(number, strings.Repeat(" ", len(number)), connection(c))
	}
}

// exampleOf is the connection to tell of; false if there is none.
func exampleOf(r *result.Result) (example account.Connection, found bool) {
	i := slices.IndexFunc(r.Connections, func(c account.Connection) bool { return c.ID == r.Example })
	if i < 0 {
		return account.Connection{}, false
	}
	return r.Connections[i], true
}

// A timeline that says the same two things over and over again is cut: what is left of a row are its head and its tail.
const (
	longRow = 8
	rowHead = 2
	rowTail = 2
)

// sameStep tells whether two steps are the same one, taken again; what is no step is not compared.
func sameStep(a, b evidence.Observation) bool {
	return a.Step == nil || b.Step == nil || a.Step.Number == b.Step.Number
}

// fold cuts rows of observations that are alike, or that take turns.
func fold(all []evidence.Observation) []evidence.Observation {
	like := func(a, b evidence.Observation) bool {
		return a.Source == b.Source && a.At == b.At && a.Kind == b.Kind && sameStep(a, b)
	}
	var out []evidence.Observation
	for i := 0; i < len(all); {
		end := i + 1
		for end < len(all) && (like(all[end], all[i]) || like(all[end], all[min(i+1, end)])) {
			end++
		}
		if end-i < longRow {
			out = append(out, all[i])
			i++
			continue
		}
		cut := end - i - rowHead - rowTail
		out = append(out, all[i:i+rowHead]...)
		out = append(out, evidence.Observation{T: all[i+rowHead].T, Source: "step",
			Text: fmt.Sprintf("… %d more like these, shown with --verbose", cut)})
		out = append(out, all[end-rowTail:end]...)
		i = end
	}
	return out
}

// lastBreak cuts the timeline of a connection whose entry was lost many times into what was before the first loss, the
// losses that changed nothing, and the last loss with all that came of it.
func lastBreak(all []evidence.Observation) (before, earlier, after []evidence.Observation) {
	first := slices.IndexFunc(all, isLoss)
	// The last NEW is the packet that was translated afresh after the last loss.
	last := lastIndex(all, func(o evidence.Observation) bool { return o.Source == "conntrack" && o.Kind == "NEW" })
	if last = lastIndex(all[:last+1], isLoss); first < 0 || last <= first {
		return all, nil, nil
	}
	step := func(o evidence.Observation) bool { return o.Source == "step" }
	from, to := lastIndex(all[:first], step), lastIndex(all[:last], step)
	if from < 0 || to <= from {
		return all, nil, nil
	}
	return all[:from], all[from:to], all[to:]
}

// earlierBreaks is one line in place of many.
func earlierBreaks(all []evidence.Observation) []evidence.Observation {
	n := 0
	for _, o := range all {
		if isLoss(o) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	text := "… " + account.Count(n, "earlier loss", "earlier losses") + " of the entry, after which the flow went on, shown with --verbose"
	return []evidence.Observation{{T: all[0].T, Source: "step", Text: text}}
}

func lastIndex(all []evidence.Observation, is func(evidence.Observation) bool) int {
	for i := len(all) - 1; i >= 0; i-- {
		if is(all[i]) {
			return i
		}
	}
	return -1
}

// connection is one sentence.
func connection(c account.Connection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "from %s: %s", c.Local, c.Outcome)
	if c.Errno != "" {
		fmt.Fprintf(&b, ", %s at the %s", c.Errno, c.NoticedBy)
	}
	if c.Peer != "" {
		fmt.Fprintf(&b, ", other side %s", c.Peer)
	}
	if len(c.Backends) > 0 {
		fmt.Fprintf(&b, ", translated to %s", path(c.Backends))
	}
	if c.Breaks > 0 {
		fmt.Fprintf(&b, ", entry lost %s", times(c.Breaks))
	}
	return b.String()
}

// path is the pods in order, neighbours that are the same counted.
func path(pods []string) string {
	var parts []string
	for i := 0; i < len(pods); {
		n := 1
		for i+n < len(pods) && pods[i+n] == pods[i] {
			n++
		}
		part := pods[i]
		if n > 1 {
			part += " (" + times(n) + ")"
		}
		parts = append(parts, part)
		i += n
	}
	return strings.Join(parts, " → ")
}

// observations writes one line for each, in columns: seconds since the start, where, what. A line of conntrack stands
// as `conntrack -E` prints it, wrapped at the width unless everything is asked for. A time behind ~ may stand before or
// after its neighbour's.
func (t *text) observations(title string, all []evidence.Observation) {
	if len(all) == 0 {
		return
	}
	at, id, first := 0, 0, 0 // connections are numbered where there are several
	for _, o := range all {
		at, id = max(at, columns(printable.Line(o.At))), max(id, o.Connection)
		if first == 0 {
			first = o.Connection
		}
	}
	several := slices.ContainsFunc(all, func(o evidence.Observation) bool { return o.Connection != 0 && o.Connection != first })
	if several {
		title += ", and the connection it belongs to"
	}
	t.title(title)
	for _, o := range all {
		stamp := fmt.Sprintf("%+.6f", o.T)
		if o.Unordered {
			stamp = "~" + stamp[1:]
		}
		pad := strings.Repeat(" ", at-columns(printable.Line(o.At)))
		begin := fmt.Sprintf("  %s %s%s ", t.paint(faint, stamp), printable.Line(o.At), pad)
		if several {
			number := ""
			if o.Connection > 0 {
				number = fmt.Sprint(o.Connection)
			}
			begin += fmt.Sprintf("%*s ", len(fmt.Sprint(id)), number)
		}
		if t.o.Verbose { // to be pasted: conntrack's lines as conntrack prints them
			t.line("%s%s", begin, t.paint(observationStyle(o), what(o)))
			continue
		}
		rest := strings.Repeat(" ", min(columns(begin)+2, t.width/4)) // a narrow terminal has no room to indent
		t.wrappedIn(observationStyle(o), begin, rest, what(o))
	}
}

// what is an observation's text, with its kind in front unless the text says it already.
func what(o evidence.Observation) string {
	s := strings.TrimRight(printable.Line(o.Text), " ")
	if o.By != "" { // behind a # so that the line can still be pasted as conntrack's own
		s += "  # " + printable.Line(o.By)
	}
	if label := map[string]string{"rule": "rules: ", "kernel": "kernel: "}[o.Source]; label != "" {
		return label + s
	}
	if o.Packet == nil && o.Output == nil { // the others' texts say what they are
		return s
	}
	return printable.Line(o.Kind) + ": " + strings.TrimLeft(s, " ")
}

func observationStyle(o evidence.Observation) style {
	switch {
	case o.Kind == "RST", errnoOf(o) == "ECONNRESET":
		return red
	case o.Source == "step":
		return cyan
	case o.Source == "conntrack" && o.Kind == "DESTROY":
		return yellow
	}
	return ""
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
