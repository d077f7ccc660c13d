package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/probe/audit"
)

// Audit writes a look at the machine's connections: for each namespace a table like netstat's, with a sentence below each
// connection that is at risk or not understood; then the cures, and what could not be seen. With Verbose the others get
// their sentence too; with Quiet there is one line a namespace.
func Audit(w io.Writer, r *audit.Report, o TextOptions) error {
	t := newText(o)
	for i, n := range r.Namespaces {
		if i > 0 && !o.Quiet {
			t.line("")
		}
		t.namespace(n)
	}
	if !o.Quiet {
		t.cures(r)
		t.unseen(r.Missing)
	}
	if len(r.Namespaces) > 1 {
		if !o.Quiet {
			t.line("")
		}
		t.line("%d namespaces, %s", len(r.Namespaces), t.counts(r.Summary, false))
	}
	return show(w, o.Color, t.b.String())
}

// AuditJSON writes it as one document; in one line if it is one of many.
func AuditJSON(w io.Writer, r *audit.Report, oneLine bool) error {
	indent := "  "
	if oneLine {
		indent = ""
	}
	return encoder(w, indent).Encode(r)
}

func (t *text) namespace(n audit.Namespace) {
	name := t.paint(bold, printable.Line(n.Name))
	if n.Pod != "" {
		name += " pod " + printable.Line(n.Pod)
	}
	t.line("%s %s  %s", name, t.paint(faint, fmt.Sprintf("net:[%d]", n.Inode)), t.counts(n.Summary, true))
	if t.o.Quiet {
		return
	}
	if n.Summary.Unread == 0 {
		t.wrapped("  ", "  ", "conntrack: "+tracking(n.Conntrack)+fmt.Sprintf("; tcp_keepalive_time %.0f s", n.KeepaliveTimeS)+leads(n))
	}
	for _, problem := range n.Problems {
		t.wrapped("  "+t.paint(yellow, "!")+" ", "    ", problem)
	}
	t.sockets(n)
}

// counts says how many connections there are and how they fare, nothing of what there is none of; of one namespace or of
// all together.
func (t *text) counts(s audit.Summary, one bool) string {
	if s.Unread > 0 && one {
		return t.paint(yellow, "not read")
	}
	parts := []string{account.Count(s.Connections, "connection", "connections")}
	for _, c := range []struct {
		n     int
		words string
		style style
	}{{s.Risk, "at risk", red}, {s.Unknown, "unknown", yellow}, {s.OK, "ok", green}} {
		if c.n > 0 {
			parts = append(parts, t.paint(c.style, fmt.Sprintf("%d %s", c.n, c.words)))
		}
	}
	if s.Unread > 0 {
		parts = append(parts, t.paint(yellow, fmt.Sprintf("%d of the namespaces not read", s.Unread)))
	}
	return strings.Join(parts, ", ")
}

func tracking(c audit.TableFacts) string {
	timeout := ""
	if c.EstablishedS > 0 {
		timeout = fmt.Sprintf(", timeout of established connections %.0f s", c.EstablishedS)
	}
	switch c.State {
	case audit.TableNone:
		return "none in this kernel"
	case audit.TableEmpty:
		return "no entries" + timeout
	case audit.TableUnreadable:
		return "not readable" + timeout
	}
	return fmt.Sprintf("%d entries%s", c.Entries, timeout)
}

// leads says where a namespace's veth pairs lead, of three and more how many.
func leads(n audit.Namespace) string {
	var words string
	switch {
	case len(n.Near) > 2:
		words = fmt.Sprintf("; linked to %d namespaces", len(n.Near))
	case len(n.Near) > 0:
		words = "; linked to " + printable.Line(strings.Join(n.Near, " and "))
	}
	if len(n.Unseen) > 0 {
		words += "; not read: what is behind " + printable.Line(strings.Join(n.Unseen, ", "))
	}
	return words
}

var auditHeading = []string{"VERDICT", "LOCAL", "REMOTE", "PROCESS", "TIMER", "IDLE", "ENTRY"}

// sockets is the table. The last column is not padded.
func (t *text) sockets(n audit.Namespace) {
	if len(n.Connections) == 0 {
		return
	}
	rows := [][]string{auditHeading}
	for _, c := range n.Connections {
		rows = append(rows, t.row(n, c))
	}
	widths := make([]int, len(auditHeading)-1)
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], columns(row[i]))
		}
	}
	for i, row := range rows {
		var b strings.Builder
		for k, w := range widths {
			b.WriteString("  " + row[k] + strings.Repeat(" ", w-columns(row[k])))
		}
		t.line("%s", strings.TrimRight(b.String()+"  "+row[len(row)-1], " "))
		if i == 0 {
			continue
		}
		if c := n.Connections[i-1]; c.Verdict != audit.OK || t.o.Verbose {
			indent := strings.Repeat(" ", 4+widths[0])
			t.wrapped(indent, indent, c.Why)
			if c.Command != "" { // in one line, to be pasted
				t.line("%sto find out: %s", indent, t.paint(bold, printable.Line(c.Command)))
			}
		}
	}
}

func (t *text) row(n audit.Namespace, c audit.Connection) []string {
	return []string{
		t.paint(auditStyle(c.Verdict), string(c.Verdict)), c.Local.String(), c.Remote.String(), process(c.Process),
		c.Timer.Netstat, ago(c.IdleS), strings.Join(entries(n, c), ", "),
	}
}

func auditStyle(v audit.Verdict) style {
	switch v {
	case audit.OK:
		return green
	case audit.Risk:
		return red
	}
	return yellow
}

// process is netstat's "PID/Program name", with how many more have the socket.
func process(p *audit.Process) string {
	switch {
	case p == nil:
		return "-"
	case p.Others > 0:
		return fmt.Sprintf("%d/%s+%d", p.PID, printable.Line(p.Name), p.Others)
	}
	return fmt.Sprintf("%d/%s", p.PID, printable.Line(p.Name))
}

func ago(s *float64) string {
	if s == nil {
		return "?"
	}
	return (time.Duration(*s) * time.Second).String()
}

// entries says for each entry how long it has left, whose table it is in if not the namespace's own, and how it translates.
func entries(n audit.Namespace, c audit.Connection) []string {
	var all []string
	for _, e := range c.Entries {
		words := []string{"offloaded"}
		if e.LeftS != nil {
			words[0] = fmt.Sprintf("%d s left", int(*e.LeftS)) // whole seconds, as conntrack counts
		}
		if e.Table != n.Name {
			words = append(words, "on "+printable.Line(e.Table))
		}
		for _, w := range []struct{ before, address string }{
			{"→ ", e.Backend}, {"called as ", e.Service}, {"from ", e.Client}, {"sent as ", e.Source},
		} {
			if w.address != "" {
				words = append(words, w.before+w.address)
			}
		}
		all = append(all, strings.Join(words, " "))
	}
	switch {
	case len(all) > 0:
		return all
	case c.Estimated && c.LeftS != nil:
		return []string{fmt.Sprintf("not readable, about %d s left", int(*c.LeftS))}
	}
	return []string{"none"}
}

// cures are those of all connections, each once, with the number of connections it is for.
func (t *text) cures(r *audit.Report) {
	count := map[string]int{}
	var order []string
	for _, n := range r.Namespaces {
		for _, c := range n.Connections {
			if c.Cure == "" {
				continue
			}
			if count[c.Cure]++; count[c.Cure] == 1 {
				order = append(order, c.Cure)
			}
		}
	}
	if len(order) == 0 {
		return
	}
	t.title("cure")
	slices.SortStableFunc(order, func(a, b string) int { return count[b] - count[a] })
	for _, cure := range order {
		t.wrapped(fmt.Sprintf("  %4d × ", count[cure]), strings.Repeat(" ", 9), cure)
	}
}

func (t *text) unseen(missing []string) {
	if len(missing) == 0 {
		return
	}
	t.title("not seen")
	for _, what := range missing {
		t.wrapped("  - ", "    ", what)
	}
}
