package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// idleLimits are after how many seconds of silence something in production forgets a connection.
var idleLimits = []struct {
	seconds float64
	whose   string
}{
	{86400, "kube-proxy's conntrack"},
	{600, "Google Cloud's firewall"},
	{350, "AWS NLB, NAT gateway"},
	{240, "Azure load balancer"},
}

// Try writes the result of a trial of somebody's own programs: what became of the connection, who noticed, what the
// sockets were set to, and what that means in production.
func Try(w io.Writer, r *result.Result, o TextOptions) error {
	t := newText(o)
	t.trial(r)
	return show(w, o.Color, t.b.String())
}

func (t *text) trial(r *result.Result) {
	c, ok := tried(r)
	t.line("%s  %s", t.paint(verdictStyle(r.Verdict), strings.ToUpper(headword(r))), t.paint(faint, "took "+seconds(r.DurationS)))
	t.wrapped("  ", "  ", trialSentence(r, c, ok))
	if t.o.Quiet {
		return
	}
	t.causes(r)
	t.ends(r, c)
	t.production(c)
	t.programs(r)
	t.cureLines(r.Cure)
	if t.o.Verbose {
		t.world(r)
		t.evidence(r)
		t.expectations(r)
	}
	t.gaps(r)
	if t.o.Verbose {
		t.phases(r)
	}
}

// headword is what a result is in a word: of a trial the outcome of its connection, of all others the verdict.
func headword(r *result.Result) string {
	if c, ok := tried(r); r.Trial && ok && r.Verdict != verdict.Inconclusive {
		return string(c.Outcome)
	}
	return string(r.Verdict)
}

// tried is the connection that the trial was about; false if the client never had one.
func tried(r *result.Result) (account.Connection, bool) {
	for _, c := range r.Connections {
		if c.ID == r.Example {
			return c, c.Local != ""
		}
	}
	return account.Connection{}, false
}

// ends are the connections and what was set on their sockets.
func (t *text) ends(r *result.Result, c account.Connection) {
	t.title("connections")
	for _, one := range r.Connections {
		text := fmt.Sprintf("%s → %s: %s", one.Local, strings.Join(one.Backends, " → "), one.Outcome)
		if one.Replaces > 0 {
			text += fmt.Sprintf(", in the place of connection %d", one.Replaces)
		}
		if one.Untested != "" {
			text += "; not tested: " + one.Untested
		}
		t.wrapped(fmt.Sprintf("%3d. ", one.ID), "     ", text)
	}
	if c.ClientSocket == nil && c.ServerSocket == nil {
		return
	}
	t.title("sockets, as the kernel had them before the fault")
	for _, s := range settings(c) {
		t.wrapped(fmt.Sprintf("  %-7s", s.Name), "         ", s.Value)
	}
}

// settings are what was set on both ends of a connection, by side.
func settings(c account.Connection) (out []field) {
	for _, s := range []struct {
		side string
		set  *account.SocketSettings
	}{{"client", c.ClientSocket}, {"server", c.ServerSocket}} {
		if s.set != nil {
			out = append(out, field{s.side, s.set.Process + ": " + s.set.Text})
		}
	}
	return out
}

// production says whether the first keepalive probe of either end would come in time.
func (t *text) production(c account.Connection) {
	lines := inProduction(c)
	if len(lines) == 0 {
		return
	}
	t.title("idle in production")
	for _, l := range lines {
		t.wrapped(fmt.Sprintf("  %6.0f s  %-23s ", l.Seconds, l.Whose), strings.Repeat(" ", 36), l.Text)
	}
}

// productionLine is something that forgets idle connections, and what a connection's keepalive does about it.
type productionLine struct {
	Seconds     float64
	Whose, Text string
}

// inProduction is a line for each of idleLimits; none where it is not known what was set on the sockets.
func inProduction(c account.Connection) (out []productionLine) {
	first, whose := 0.0, ""
	for _, end := range []struct {
		side string
		set  *account.SocketSettings
	}{{"client", c.ClientSocket}, {"server", c.ServerSocket}} {
		if end.set != nil && end.set.KeepAlive && (whose == "" || end.set.IdleS < first) {
			first, whose = end.set.IdleS, end.side
		}
	}
	if c.ClientSocket == nil && c.ServerSocket == nil {
		return nil
	}
	for _, limit := range idleLimits {
		text := "cut: no probe ever comes"
		switch {
		case whose != "" && first < limit.seconds:
			text = fmt.Sprintf("kept: the %s's first probe comes after %.0f s", whose, first)
		case whose != "":
			text = fmt.Sprintf("cut: the %s's first probe comes after %.0f s, %.0f s too late", whose, first, first-limit.seconds)
		}
		out = append(out, productionLine{limit.seconds, limit.whose, text})
	}
	return out
}

// shownOutput is how many of the client's last lines are shown.
const shownOutput = 8

// programs are how the programs ended, and the client's last words.
func (t *text) programs(r *result.Result) {
	if len(r.Programs) == 0 {
		return
	}
	t.title("programs")
	for _, p := range r.Programs {
		t.wrapped("  ", "    ", fmt.Sprintf("%s: %s", p.At, p.Ended))
		if p.Side != "client" {
			continue
		}
		for _, o := range lastWords(r, p.At) {
			t.line("    %s %s| %s", o.At, o.Kind, printable.Line(o.Text))
		}
	}
}

// lastWords are the last lines that a program has written.
func lastWords(r *result.Result, at string) []evidence.Observation {
	said := outputOf(r, at)
	return said[max(0, len(said)-shownOutput):]
}

// outputOf is what a program has written, in order.
func outputOf(r *result.Result, at string) []evidence.Observation {
	var out []evidence.Observation
	for _, o := range r.Timeline {
		if o.At == at && isOutput(o) {
			out = append(out, o)
		}
	}
	return out
}

func isOutput(o evidence.Observation) bool { return o.Output != nil }

// hasOutput tells whether programs of the user's own ran.
func hasOutput(r *result.Result) bool { return len(r.Programs) > 0 }

// output writes what the programs have written, a line each: when, who, which stream.
func output(w io.Writer, r *result.Result) error {
	for _, o := range r.Timeline {
		if isOutput(o) {
			at := r.Started.Add(time.Duration(o.T * float64(time.Second))).UTC().Format("2006-01-02T15:04:05.000000Z")
			if err := show(w, false, fmt.Sprintf("%s %s %s| %s\n", at, o.At, o.Kind, printable.Line(o.Text))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *text) cureLines(cure string) {
	if cure == "" {
		return
	}
	t.title("cure")
	for line := range strings.Lines(cure) {
		t.wrapped("  - ", "    ", line)
	}
}
