package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario"
)

// evidence writes the observations that the story rests on, or all of them if asked to.
func (t *text) evidence(r *scenario.Result) {
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
		others := len(r.Connections) - 1
		t.line("  %s", t.paint(faint, fmt.Sprintf("… and %d more %s, shown with --verbose", others, plural(others, "connection"))))
	}
	before, earlier, after := lastBreak(telling(r, example.ID))
	t.observations("evidence", fold(slices.Concat(before, earlierBreaks(earlier), after)))
}

// fewConnections is how many are told of one by one.
const fewConnections = 4

// connections writes a sentence for each: who, what became of it, who noticed, where its entries led.
func (t *text) connections(all ...scenario.Connection) {
	if len(all) == 0 {
		return
	}
	title := plural(len(all), "connection")
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

// exampleOf is the connection to tell the story by; false if there is none.
func exampleOf(r *scenario.Result) (example scenario.Connection, found bool) {
	i := slices.IndexFunc(r.Connections, func(c scenario.Connection) bool { return c.ID == r.Example })
	if i < 0 {
		return scenario.Connection{}, false
	}
	return r.Connections[i], true
}

// telling are the observations that tell the story of one connection: what was done, the conntrack events of the node
// that translates, what the applications got, a RST wherever its addresses change on the way, the rules that a packet
// met which has no entry or is thrown away, what the kernel did, and a socket whose state or timer has changed. Those
// that belong to no connection are part of every story.
func telling(r *scenario.Result, id int) []scenario.Observation {
	translated := func(o scenario.Observation) bool { return strings.Contains(o.Text, " dst="+r.Service.Address+" ") }
	// With no such event at all, what the other nodes saw is all there is.
	anyNode := !slices.ContainsFunc(r.Timeline, translated)
	// The node that translates; where it has lost no entry, what the others have lost is the story.
	node, lost := "", false
	for _, o := range r.Timeline {
		if translated(o) {
			node = o.At
			lost = lost || o.Kind == "DESTROY" && (o.Connection == 0 || o.Connection == id)
		}
	}
	few := len(r.Connections) <= fewConnections // what their applications got shows what the sentence on each says
	var out []scenario.Observation
	lastRST := ""
	broken := false // from the first loss of the entry on, a NEW is a second one
	sockets := map[string]string{}
	probed := map[string]bool{}  // a keepalive probe has come in, which the kernel answers and throws away
	dropped := map[string]bool{} // what is dropped again, is dropped for the same reason
	for _, o := range r.Timeline {
		if o.Connection != 0 && o.Connection != id {
			if few && (o.Source == "client" || o.Source == "server") {
				out = append(out, o)
			}
			continue
		}
		switch o.Source {
		case "step", "client", "server":
			out = append(out, o)
		case "conntrack":
			breaks := o.Kind == "DESTROY" && (anyNode || translated(o) || !lost)
			if anyNode || translated(o) || breaks || broken && (o.At == node || !lost) {
				out = append(out, o)
			}
			broken = broken || breaks
		case "kernel":
			if o.Kind == "kfree_skb" && probed[o.At] {
				continue
			}
			if o.Kind != "kfree_skb" || !dropped[o.At+" kernel"] {
				out = append(out, o)
			}
			dropped[o.At+" kernel"] = dropped[o.At+" kernel"] || o.Kind == "kfree_skb"
		case "rule":
			first := o.Kind == "DROP" && !dropped[o.At+" rule"]
			dropped[o.At+" rule"] = dropped[o.At+" rule"] || first
			if first || broken && o.Kind == "NEW" && strings.Contains(o.Text, " "+r.Service.Address+":") {
				out = append(out, o)
			}
		case "socket":
			if was := sockets[o.At]; socketChanged(was, o) {
				out = append(out, o)
			}
			sockets[o.At] = socketKind(o)
		case "packet":
			if way := addresses(o.Text); o.Kind == "RST" && way != lastRST {
				out, lastRST = append(out, o), way
			}
			if p := o.Packet; p != nil && p.Direction == "in" {
				probed[o.At] = p.Repeat == packet.KeepAlive.String()
			}
			if p := o.Packet; p != nil && p.Repeat != "" && p.Direction == "out" && sentBy(r, o.At) {
				out = append(out, o)
			}
		}
	}
	return out
}

// sentBy tells whether packets begin or end in a place: a node only passes them on, unless the client runs there.
func sentBy(r *scenario.Result, at string) bool {
	return slices.ContainsFunc(r.World, func(p scenario.Place) bool { return p.Name == at && p.Role != "" })
}

// A story that says the same two things over and over again is cut: what is left of a row are its head and its tail.
const (
	longRow = 8
	rowHead = 2
	rowTail = 2
)

// fold cuts rows of observations that are alike, or that take turns.
func fold(all []scenario.Observation) []scenario.Observation {
	like := func(a, b scenario.Observation) bool {
		return a.Source == b.Source && a.At == b.At && a.Kind == b.Kind && (a.Source != "step" || a.Text == b.Text)
	}
	var out []scenario.Observation
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
		out = append(out, scenario.Observation{T: all[i+rowHead].T, Source: "step",
			Text: fmt.Sprintf("… %d more like these, shown with --verbose", cut)})
		out = append(out, all[end-rowTail:end]...)
		i = end
	}
	return out
}

// socketKind is what has to change for a socket to be worth a line: its state and the kind of timer that runs.
func socketKind(o scenario.Observation) string {
	if o.Socket == nil {
		return o.Kind
	}
	timer, _, _ := strings.Cut(o.Socket.Timer, " ")
	return o.Socket.State + " " + timer
}

func socketChanged(was string, o scenario.Observation) bool {
	is := socketKind(o)
	return is != was && (was != "" || is != "ESTABLISHED off") // the state of every connection that does nothing
}

// addresses is the "source > destination" in the text of a packet.
func addresses(text string) string {
	words := strings.Fields(text)
	if i := slices.Index(words, ">"); i > 0 && i+1 < len(words) {
		return words[i-1] + " > " + words[i+1]
	}
	return text
}

// lastBreak cuts the story of a connection whose entry was lost many times into what was before the first loss, the
// losses that changed nothing, and the last loss with all that came of it.
func lastBreak(all []scenario.Observation) (before, earlier, after []scenario.Observation) {
	first := slices.IndexFunc(all, isLoss)
	// The last NEW is the packet that was translated afresh after the last loss.
	last := lastIndex(all, func(o scenario.Observation) bool { return o.Source == "conntrack" && o.Kind == "NEW" })
	if last = lastIndex(all[:last+1], isLoss); first < 0 || last <= first {
		return all, nil, nil
	}
	step := func(o scenario.Observation) bool { return o.Source == "step" }
	from, to := lastIndex(all[:first], step), lastIndex(all[:last], step)
	if from < 0 || to <= from {
		return all, nil, nil
	}
	return all[:from], all[from:to], all[to:]
}

// isLoss tells whether an entry was lost while its connection was open; a RST ends both.
func isLoss(o scenario.Observation) bool {
	return o.Source == "conntrack" && o.Kind == "DESTROY" && !strings.Contains(o.By, "RST")
}

// earlierBreaks is one line in place of many.
func earlierBreaks(all []scenario.Observation) []scenario.Observation {
	n := 0
	for _, o := range all {
		if isLoss(o) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	text := fmt.Sprintf("… %d earlier %s of the entry, after which the flow went on, shown with --verbose", n, plural(n, "loss"))
	return []scenario.Observation{{T: all[0].T, Source: "step", Text: text}}
}

func lastIndex(all []scenario.Observation, is func(scenario.Observation) bool) int {
	for i := len(all) - 1; i >= 0; i-- {
		if is(all[i]) {
			return i
		}
	}
	return -1
}

// connection is one sentence.
func connection(c scenario.Connection) string {
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
func (t *text) observations(title string, all []scenario.Observation) {
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
	several := slices.ContainsFunc(all, func(o scenario.Observation) bool { return o.Connection != 0 && o.Connection != first })
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
		t.wrapped(begin, rest, t.paint(observationStyle(o), strings.TrimLeft(what(o), " ")))
	}
}

// what is an observation's text, with its kind in front unless the text says it already.
func what(o scenario.Observation) string {
	s := strings.TrimRight(printable.Line(o.Text), " ")
	if o.By != "" { // behind a # so that the line can still be pasted as conntrack's own
		s += "  # " + printable.Line(o.By)
	}
	if label := map[string]string{"rule": "rules: ", "kernel": "kernel: "}[o.Source]; label != "" {
		return label + s
	}
	if o.Source == "socket" || o.Source == "conntrack" || o.Source == "step" || o.Kind == "" || strings.Contains(strings.ToLower(s), strings.ToLower(o.Kind)) {
		return s
	}
	return printable.Line(o.Kind) + ": " + strings.TrimLeft(s, " ")
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
	switch {
	case n == 1:
		return noun
	case strings.HasSuffix(noun, "s"):
		return noun + "es"
	}
	return noun + "s"
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
