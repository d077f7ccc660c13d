package report

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// DefaultWidth is the width of text that is not written to a terminal.
const DefaultWidth = 100

// TextOptions is how Text renders. The zero value is plain text of DefaultWidth columns.
type TextOptions struct {
	// Color asks for ANSI colours.
	Color bool
	// Verbose shows every observation of every connection, and how long each phase took.
	Verbose bool
	// Quiet shows one line: the verdict and its reason. It wins over Verbose.
	Quiet bool
	// Width is the number of columns at which sentences are wrapped; 0 is DefaultWidth. The lines of the evidence are
	// never wrapped, because they are there to be pasted.
	Width int
}

// Text writes one result as a colleague needs it: the verdict, the world, what happened, the evidence for it,
// what was expected, and the cure.
func Text(w io.Writer, r *result.Result, o TextOptions) error {
	t := newText(o)
	t.interrupted = r.Interrupted
	t.result(r)
	return show(w, o.Color, t.b.String())
}

// show writes a text by the door for foreign text: most of it has been made fit before, to be measured and painted, and what
// was forgotten is made so here.
func show(w io.Writer, painted bool, text string) error {
	door := printable.NewWriter(w, painted)
	_, err := io.WriteString(door, text)
	return errors.Join(err, door.Close())
}

// text is a report in the making.
type text struct {
	o     TextOptions
	width int
	b     strings.Builder
	// interrupted is that of the result.
	interrupted bool
}

func newText(o TextOptions) *text {
	if o.Width <= 0 {
		o.Width = DefaultWidth
	}
	return &text{o: o, width: o.Width}
}

func (t *text) result(r *result.Result) {
	if t.o.Quiet {
		t.line("%s %s: %s", t.verdict(r), printable.Line(r.Scenario), printable.Line(r.Reason))
		return
	}
	t.headline(r)
	t.world(r)
	t.causes(r)
	t.evidence(r)
	t.rules(r)
	t.summary(r)
	t.expectations(r)
	t.section("cure", r.Cure)
	t.gaps(r)
	t.phases(r)
}

func (t *text) headline(r *result.Result) {
	took := "took " + seconds(r.DurationS)
	if r.Interrupted {
		took = "interrupted after " + seconds(r.DurationS)
	}
	t.line("%s %s  %s", t.verdict(r), t.paint(bold, printable.Line(r.Scenario)), t.paint(faint, took))
	t.wrapped("  ", "  ", r.Title)
	t.wrapped("  ", "  ", r.Reason)
}

func (t *text) verdict(r *result.Result) string {
	return t.paint(verdictStyle(r.Verdict), strings.ToUpper(string(r.Verdict)))
}

func (t *text) world(r *result.Result) {
	client := "client"
	if len(r.Connections) > 0 {
		if host, _, err := net.SplitHostPort(r.Connections[0].Local); err == nil {
			client += " " + host
		}
	}
	service := fmt.Sprintf("service %s:%d", r.Service.Address, r.Service.Port)
	if r.Service.Name != "" {
		service = fmt.Sprintf("service %s %s:%d", r.Service.Name, r.Service.Address, r.Service.Port)
	}
	user := "as root"
	if r.Rootless {
		user = "in a user namespace, without root"
	}
	t.title("world")
	t.wrapped("  ", "    ", client+" → "+service+" → "+backends(r.Service.Backends))
	t.wrapped("  ", "  ", fmt.Sprintf("kernel %s, %s", r.Kernel, user))
	if r.TimeScale > 1 {
		t.wrapped("  ", "  ", scaled(r.TimeScale))
	}
}

// scaled tells how times of this run and times of production go together.
func scaled(by int) string {
	return fmt.Sprintf("time_scale %d: every duration is divided by it, an hour of production takes %s", by, seconds(3600/float64(by)))
}

// manyBackends is the number of backends from which on they are counted rather than named.
const manyBackends = 6

func backends(all []string) string {
	switch n := len(all); {
	case n == 0:
		return "no backend"
	case n > manyBackends:
		return fmt.Sprintf("%s … %s (%d backends)", strings.Join(all[:2], ", "), all[n-1], n)
	}
	return strings.Join(all, ", ")
}

func (t *text) causes(r *result.Result) {
	if len(r.Cause) == 0 {
		return
	}
	title := "what happened"
	if lost := lost(r); lost != "" { // what they would have told is missing here
		title += ", as far as it was seen (lost: " + lost + ")"
	}
	t.title(title)
	for i, sentence := range r.Cause {
		number := fmt.Sprintf("%3d. ", i+1)
		t.wrapped(number, strings.Repeat(" ", len(number)), sentence)
	}
}

func (t *text) summary(r *result.Result) {
	total := len(r.Connections)
	if total < 2 {
		return
	}
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(r.Summary)) {
		if n := r.Summary[outcome]; n > 0 && outcome != "connections" && outcome != string(account.HalfOpen) {
			parts = append(parts, fmt.Sprintf("%d %s (%.0f %%)", n, outcome, 100*float64(n)/float64(total)))
		}
	}
	if n := r.Summary[string(account.HalfOpen)]; n > 0 { // no outcome: it comes on top of one
		parts = append(parts, fmt.Sprintf("and %d left the other side %s", n, account.HalfOpen))
	}
	t.section(fmt.Sprintf("%d connections", total), strings.Join(parts, ", "))
}

func (t *text) expectations(r *result.Result) {
	if len(r.Expectations) == 0 {
		return
	}
	t.title("expected")
	for _, e := range r.Expectations {
		sentence := e.Text
		if e.Reason != "" && (e.Verdict != verdict.Pass || e.Share != nil || t.o.Verbose) {
			sentence += ": " + e.Reason
		}
		t.wrapped("  "+t.paint(verdictStyle(e.Verdict), mark(e.Verdict))+" ", "    ", sentence)
	}
}

func mark(v verdict.Verdict) string {
	switch v {
	case verdict.Pass:
		return "✓"
	case verdict.Fail:
		return "✗"
	}
	return "?"
}

// gaps says what the report does not rest on: what watchers lost, and what could not be watched at all.
func (t *text) gaps(r *result.Result) {
	t.section("lost observations", lost(r))
	if len(r.Missing) == 0 {
		return
	}
	t.title("not observed")
	for _, what := range r.Missing {
		t.wrapped("  - ", "    ", what)
	}
}

// lost counts what watchers could not deliver, by source; empty if nothing is missing.
func lost(r *result.Result) string {
	var out []string
	for _, source := range slices.Sorted(maps.Keys(r.Lost)) {
		if n := r.Lost[source]; n > 0 {
			out = append(out, fmt.Sprintf("%d of %s", n, source))
		}
	}
	return strings.Join(out, ", ")
}

func (t *text) phases(r *result.Result) {
	if !t.o.Verbose {
		return
	}
	var parts []string
	for _, p := range r.Phases {
		parts = append(parts, p.Name+" "+seconds(p.Seconds))
	}
	t.section("phases", strings.Join(parts, ", "))
}

// section is a title with one paragraph; nothing if the paragraph is empty.
func (t *text) section(title, paragraph string) {
	if paragraph == "" {
		return
	}
	t.title(title)
	t.wrapped("  ", "  ", paragraph)
}

func (t *text) title(s string) {
	t.line("")
	t.line("%s", t.paint(bold, s))
}

func (t *text) line(format string, args ...any) {
	fmt.Fprintf(&t.b, format+"\n", args...)
}

// seconds is a duration as a person reads it: three digits, no more.
func seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", s*1e3)
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", s)
	default:
		return d.Round(time.Second).String()
	}
}
