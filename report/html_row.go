package report

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// row is a line of the story: a packet with all its hops, or one observation.
type row struct {
	ID, Class string
	Time      string
	// About is how exact the time is; empty if it is exact.
	About     string
	Unordered bool
	// Badge says what it is in a word, Where where, Text what in words, Small the same in addresses.
	Badge, Where, Text, Small string
	// Mark is the moment to look at, in words: "re-translated: server-1 → server-2".
	Mark, MarkTone string
	Notes          []string
	Drawing        drawing
	Fields         []field
	Hops           []hopLine
	DetailTitle    string
	Detail         []detailLine
	Raw            []string
	// Fold stands for a row that is many.
	Fold *hidden

	t         float64
	signature string
	// keep is true if it must not vanish in a fold.
	keep bool
}

type field struct{ Name, Value string }

type hopLine struct {
	Time, At, Direction, Src, Dst string
	SrcChanged, DstChanged        bool
}

// detailLine is one of the lines behind an observation; Strong if it is one that tells the story.
type detailLine struct {
	Text   string
	Strong bool
}

// stamp is a time since the start of the run.
func stamp(t float64) string { return fmt.Sprintf("%+.6f s", t) }

// about is half the width of an interval: "± 18 µs".
func about(s float64) string {
	switch {
	case s <= 0:
		return ""
	case s < 1e-3:
		return fmt.Sprintf("± %.0f µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("± %.1f ms", s*1e3)
	}
	return fmt.Sprintf("± %.1f s", s)
}

// isError finds the name of an errno in an application's report.
var isError = regexp.MustCompile(`\bE[A-Z]{3,}[0-9]?[A-Z]*\b`)

// digits are of no account when two rows are compared that an application wrote.
var digits = regexp.MustCompile(`[0-9]+`)

// packetRow is a packet with all its hops.
func (s *sequence) packetRow(j journey) row {
	p := j[0]
	r := row{t: p.T, Time: stamp(p.T), Class: "packet", Badge: p.Kind, Where: j.ends(), Text: j.headers(), Small: j.addresses(),
		Notes: j.comments(), Drawing: s.lanes.draw(j), signature: j.signature()}
	if p.Kind == "packet" {
		r.Badge = strings.ToLower(p.Packet.Protocol)
	}
	if repeat := j.repeat(); repeat != "" {
		r.Badge, r.Class = repeat, r.Class+" repeat"
	}
	if p.Kind == "RST" {
		r.Class, r.keep = r.Class+" bad", true
	}
	if _, lost := s.lanes.lost(j); lost {
		r.Notes = append(r.Notes, "not seen any further")
	}
	if len(j) > 1 {
		r.Fields = append(r.Fields, field{"on its way", fmt.Sprintf("%.0f µs, %s", (j[len(j)-1].T-p.T)*1e6, j.way())})
	}
	f := p.Packet
	r.Fields = append(r.Fields, field{"protocol", f.Protocol})
	if f.Flags != "" {
		r.Fields = append(r.Fields, field{"flags", f.Flags}, field{"seq", fmt.Sprint(f.Seq)}, field{"ack", fmt.Sprint(f.Ack)})
	}
	r.Fields = append(r.Fields, field{"payload", fmt.Sprintf("%d bytes", f.Length)})
	r.Fields = append(r.Fields, common(p.Observation)...)
	var before *scenario.PacketFacts
	for _, h := range j {
		line := hopLine{Time: stamp(h.T), At: h.At, Direction: h.Packet.Direction, Src: h.Packet.Src, Dst: h.Packet.Dst}
		if before != nil {
			line.SrcChanged, line.DstChanged = before.Src != line.Src, before.Dst != line.Dst
		}
		before = h.Packet
		r.Hops = append(r.Hops, line)
		r.Raw = append(r.Raw, rawLine(h.Observation))
	}
	return r
}

// rawLine is an observation as the text report prints it.
func rawLine(o scenario.Observation) string {
	s := fmt.Sprintf("%+.6f %s %s", o.T, o.At, strings.TrimRight(o.Text, " "))
	if o.By != "" {
		s += "  # " + o.By
	}
	return s
}

// common are the fields that every observation may have.
func common(o scenario.Observation) []field {
	out := []field{{"source", o.Source}, {"kind", o.Kind}}
	if o.Connection != 0 {
		out = append(out, field{"connection", fmt.Sprint(o.Connection)})
	}
	if o.By != "" {
		out = append(out, field{"by", o.By})
	}
	if o.Within > 0 {
		out = append(out, field{"time known to", about(o.Within)})
	}
	if o.Unordered {
		out = append(out, field{"order", "may as well have come before or after a neighbour"})
	}
	return out
}

// observationRow is anything but a packet.
func (s *sequence) observationRow(o scenario.Observation) row {
	r := row{t: o.T, Time: stamp(o.T), About: about(o.Within), Unordered: o.Unordered, Class: class(o.Source), Badge: o.Kind,
		Where: o.At, Text: strings.TrimSpace(o.Text), Raw: []string{rawLine(o)}}
	r.Fields = append([]field{{"at", o.At}}, common(o)...)
	r.signature = fmt.Sprint(o.Source, o.At, o.Kind, o.Text)
	switch o.Source {
	case "step":
		r.Badge, r.Where = "step", ""
	case "conntrack":
		s.conntrackRow(&r, o)
	case "client", "server":
		r.signature = digits.ReplaceAllString(r.signature, "#")
		if isError.MatchString(o.Text) {
			r.Class += " bad"
		}
		r.Text = strings.TrimPrefix(r.Text, o.Kind+": ")
		r.Text = strings.TrimPrefix(r.Text, o.Kind+" ")
	case "rule":
		ruleRow(&r, o)
	case "kernel":
		kernelRow(&r, o)
	case "socket":
		s.socketRow(&r, o)
	}
	if o.Source != "step" {
		r.Drawing = drawing{Point: s.lanes.x(o.At), Shape: shape(o)}
	}
	return r
}

// class keeps a source that this page does not know from becoming a class of its own.
func class(source string) string {
	switch source {
	case "step", "conntrack", "rule", "kernel", "socket", "packet":
		return source
	case "client", "server":
		return "application"
	}
	return "other"
}

func shape(o scenario.Observation) string {
	switch {
	case o.Source == "conntrack" && o.Kind == "DESTROY":
		return "cross"
	case o.Source == "conntrack" && o.Kind == "NEW":
		return "plus"
	case o.Source == "conntrack":
		return "square"
	case o.Source == "rule" || o.Source == "kernel":
		return "diamond"
	}
	return "dot"
}

func (s *sequence) conntrackRow(r *row, o scenario.Observation) {
	if f, ok := s.renewed[renewal{o.At, o.T}]; ok && o.Kind == "NEW" {
		r.Mark, r.MarkTone, r.keep = f.Text, f.Tone, true
	}
	if o.Kind == "DESTROY" {
		r.Class += " warn"
		r.keep = true
	}
	if o.By != "" {
		r.Notes = append(r.Notes, o.By)
	}
	e, ok := parseEntry(o.Text)
	if !ok {
		return
	}
	r.Text, r.Small = e.summary(), e.leads()
	if !e.translated() {
		r.Text, r.Small = r.Text+", not translated", ""
	}
	for _, f := range []field{{"protocol", e.Protocol}, {"state", e.State}, {"seconds left", e.Left},
		{"original", e.Original.From() + " → " + e.Original.To()}, {"reply", e.Reply.From() + " → " + e.Reply.To()},
		{"flags", strings.Join(e.Flags, " ")}} {
		if f.Value != "" {
			r.Fields = append(r.Fields, f)
		}
	}
	r.signature = fmt.Sprint(o.At, o.Kind, e.State, e.leads(), e.Flags)
}

func ruleRow(r *row, o scenario.Observation) {
	r.DetailTitle = "Its way, rule by rule"
	for _, line := range o.Detail {
		r.Detail = append(r.Detail, detailLine{Text: line, Strong: strings.HasPrefix(line, "nat ") || strings.Contains(line, "→ DROP")})
	}
	packet, chains, found := strings.Cut(r.Text, ": ")
	if found {
		r.Text = shortChains(chains)
		r.Fields = append(r.Fields, field{"packet", strings.TrimSuffix(packet, " "+o.Kind)}, field{"chains", chains})
	}
	switch o.Kind {
	case "DROP":
		r.Class += " bad"
	case "NEW":
	default:
		r.Class += " minor" // a known entry: the nat table is not asked
	}
	r.Badge = "rules " + o.Kind
}

// hashed finds the names that kube-proxy makes of a hash.
var hashed = regexp.MustCompile(`\b(KUBE-[A-Z]+-[A-Z0-9]{4})[A-Z0-9]{12}\b`)

// shortChains is the part of a way through the chains that decides, with short names: where it was dropped, or else
// where it began, which is the nat table for a packet that is to be translated.
func shortChains(chains string) string {
	s := hashed.ReplaceAllString(chains, "$1…")
	if begin, _, found := strings.Cut(s, "; "); found && !strings.Contains(s, "(DROP)") {
		return begin
	}
	return s
}

func kernelRow(r *row, o scenario.Observation) {
	r.DetailTitle = "The kernel's stack, innermost function first"
	what, story := kernelText(o.Text)
	r.Text = strings.TrimPrefix(what, o.Kind+" ")
	r.Small = strings.Join(story, " → ")
	r.Detail = stack(o)
}

func (s *sequence) socketRow(r *row, o scenario.Observation) {
	r.Badge = "socket"
	f := o.Socket
	if f == nil {
		return
	}
	r.Text = f.State + ", timer " + f.Timer
	if f.SendQueue > 0 || f.Retransmits > 0 {
		r.Text += fmt.Sprintf(", %d bytes not acknowledged, %d retransmits", f.SendQueue, f.Retransmits)
	}
	r.Small = ""
	r.Fields = append(r.Fields, field{"side", f.Side}, field{"state", f.State}, field{"timer", f.Timer},
		field{"Send-Q", fmt.Sprintf("%d bytes", f.SendQueue)}, field{"Recv-Q", fmt.Sprintf("%d bytes", f.RecvQueue)},
		field{"segments in flight", fmt.Sprint(f.Unacked)}, field{"retransmits", fmt.Sprint(f.Retransmits)})
	now := socketState(o)
	r.signature = now
	if s.sockets[o.At] == now {
		r.Class += " minor"
	}
	s.sockets[o.At] = now
}

// socketState is equal for two looks at a socket between which nothing but its timer has gone on.
func socketState(o scenario.Observation) string {
	f := o.Socket
	timer, _, _ := strings.Cut(f.Timer, " ")
	return fmt.Sprint("socket ", o.At, f.Side, f.State, timer, f.SendQueue, f.RecvQueue, f.Unacked, f.Retransmits)
}
