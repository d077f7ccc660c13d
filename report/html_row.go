package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/evidence"
)

// row is a line of the sequence: a packet with all its hops, or one observation.
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
	// keep is true if it must not vanish in a fold, minor if it is hidden until asked for, begins if it is a step or a packet:
	// something that others come of.
	keep, minor, begins bool
}

// hide makes a row one that is hidden until asked for.
func (r *row) hide() { r.Class, r.minor = r.Class+" minor", true }

type field struct{ Name, Value string }

type hopLine struct {
	Time, At, Direction, Src, Dst string
	SrcChanged, DstChanged        bool
}

// detailLine is one of the lines behind an observation; Strong if it is one that tells what happened.
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

// packetRow is a packet with all its hops.
func (s *sequence) packetRow(j journey) row {
	p := j[0]
	r := row{t: p.T, Time: stamp(p.T), Class: "packet", begins: true, Badge: p.Kind, Where: j.ends(), Text: j.headers(), Small: j.addresses(),
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
	var before *evidence.PacketFacts
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
func rawLine(o evidence.Observation) string {
	s := fmt.Sprintf("%+.6f %s %s", o.T, o.At, strings.TrimRight(o.Text, " "))
	if o.By != "" {
		s += "  # " + o.By
	}
	return s
}

// common are the fields that every observation may have.
func common(o evidence.Observation) []field {
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
func (s *sequence) observationRow(o evidence.Observation) row {
	r := row{t: o.T, Time: stamp(o.T), About: about(o.Within), Unordered: o.Unordered, Class: class(o.Source), Badge: o.Kind,
		Where: o.At, Text: strings.TrimSpace(o.Text), Raw: []string{rawLine(o)}}
	r.Fields = append([]field{{"at", o.At}}, common(o)...)
	r.signature = fmt.Sprint(o.Source, o.At, o.Kind)
	switch o.Source {
	case "step":
		r.Badge, r.Where, r.begins = "step", "", true
		if o.Step != nil {
			r.signature = fmt.Sprint(r.signature, o.Step.Number)
		}
	case "conntrack":
		s.conntrackRow(&r, o)
	case "client", "server":
		applicationRow(&r, o)
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

func shape(o evidence.Observation) string {
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

// applicationRow is what a program met, or wrote. Two rows are alike whose numbers differ: of bytes, ports and messages.
func applicationRow(r *row, o evidence.Observation) {
	if errnoOf(o) != "" {
		r.Class += " bad"
	}
	switch {
	case o.Call != nil:
		r.Text = callWords(o.Call)
		r.signature = fmt.Sprint(r.signature, o.Call.Errno, o.Call.Bytes > 0, slow(o.Call))
	case o.Output != nil:
		r.signature += withoutNumbers(o.Output.Line)
	}
}

// withoutNumbers puts one sign in the place of every number.
func withoutNumbers(s string) string {
	out := make([]rune, 0, len(s))
	for _, c := range s {
		if c >= '0' && c <= '9' {
			c = '#'
		}
		if c != '#' || len(out) == 0 || out[len(out)-1] != '#' {
			out = append(out, c)
		}
	}
	return string(out)
}

func (s *sequence) conntrackRow(r *row, o evidence.Observation) {
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
	e := o.Entry
	if e == nil {
		return
	}
	r.Text, r.Small = entrySummary(e), entryLeads(e)
	if !e.Translates {
		r.Text, r.Small = r.Text+", not translated", ""
	}
	for _, f := range []field{{"protocol", e.Protocol}, {"state", e.State}, {"seconds left", entryLeft(e)},
		{"original", tupleWay(e.Original)}, {"reply", tupleWay(e.Reply)}, {"flags", strings.Join(entryFlags(e), " ")}} {
		if f.Value != "" {
			r.Fields = append(r.Fields, f)
		}
	}
	r.signature = fmt.Sprint(o.At, o.Kind, e.State, entryLeads(e), entryFlags(e))
}

func ruleRow(r *row, o evidence.Observation) {
	r.DetailTitle = "Its way, rule by rule"
	switch o.Kind {
	case "DROP":
		r.Class += " bad"
	case "NEW":
	default:
		r.hide() // a known entry: the nat table is not asked
	}
	r.Badge = "rules " + o.Kind
	p := o.Path
	if p == nil {
		return
	}
	for i, line := range o.Detail {
		strong := i < len(p.Hops) && (p.Hops[i].Table == "nat" || p.Hops[i].Verdict == "DROP")
		r.Detail = append(r.Detail, detailLine{Text: line, Strong: strong})
	}
	// The part of its way that decides, with short names: all of it where it was dropped, or else where it began, which is
	// the nat table for a packet that is to be translated.
	r.Text = pathChains(p, shortName)[0]
	if p.Verdict == "DROP" {
		r.Text = strings.Join(pathChains(p, shortName), "; ") + pathEnd(p)
	}
	packet := pathPacket(p)
	if o.Kind != p.State {
		packet = pathTracked(p)
	}
	r.Fields = append(r.Fields, field{"packet", packet}, field{"chains", strings.Join(pathChains(p, wholeName), "; ") + pathEnd(p)})
	r.signature = fmt.Sprint(r.signature, pathTracked(p), pathChains(p, wholeName), pathEnd(p))
}

func kernelRow(r *row, o evidence.Observation) {
	r.DetailTitle = "The kernel's stack, innermost function first"
	k := o.KernelEvent
	if k == nil {
		return
	}
	r.Text = cmp.Or(kernelWhat(k), o.Kind)
	r.Small = strings.Join(k.Functions, " → ")
	r.Detail = stack(k)
	r.signature = fmt.Sprint(r.signature, kernelWhat(k), k.Functions)
}

func (s *sequence) socketRow(r *row, o evidence.Observation) {
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
		r.hide()
	}
	s.sockets[o.At] = now
}

// socketState is equal for two samples of a socket between which nothing but its timer has gone on.
func socketState(o evidence.Observation) string {
	f := o.Socket
	return fmt.Sprint("socket ", o.At, f.Side, f.State, f.TimerKind, f.SendQueue, f.RecvQueue, f.Unacked, f.Retransmits)
}
