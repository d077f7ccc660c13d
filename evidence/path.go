package evidence

import (
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// The trace of a packet's way through the rules has no time of the kernel's. It lies between two facts that have one:
// the packet was seen before the node, and then it left the node, or an entry was made for it.

// When is the middle of that interval, and half its length.
func (e *Evidence) When(p *rulepath.Path) (middle time.Time, within time.Duration) {
	if len(p.Hops) == 0 {
		return e.Started, 0
	}
	read := p.Hops[0].Time // ctsim read the trace: later than all that counts here
	from := e.cameBy(p, read)
	if from.IsZero() {
		return read, 0 // its packet was not captured
	}
	to := e.leftBy(p, from, read)
	half := to.Sub(from) / 2
	return from.Add(half), half
}

// cameBy is when the packet was last seen before it met the rules: coming into the node, or else leaving the pod.
func (e *Evidence) cameBy(p *rulepath.Path, before time.Time) (into time.Time) {
	var out time.Time
	for _, q := range e.Packets {
		if !isOf(p.Packet, q) || q.Src != p.Packet.Src || q.Dst != p.Packet.Dst || q.Time.After(before) {
			continue
		}
		switch {
		case q.At == p.Node && q.Direction == packet.In:
			into = later(into, q.Time)
		case q.At != p.Node && q.Direction == packet.Out:
			out = later(out, q.Time)
		}
	}
	if into.IsZero() {
		return out
	}
	return into
}

// leftBy is when something was seen that comes after the rules: the packet elsewhere, the entry made for it, or its end.
func (e *Evidence) leftBy(p *rulepath.Path, from, read time.Time) time.Time {
	to := read
	for _, q := range e.Packets {
		elsewhere := (q.At == p.Node) == (q.Direction == packet.Out)
		if elsewhere && isOf(p.Packet, q) && q.Time.After(from) && q.Time.Before(to) {
			to = q.Time
		}
	}
	if strings.Contains(Dropper(p), "-j REJECT") {
		for _, q := range e.Packets {
			if answersRejected(p, q) && q.Time.After(from) && q.Time.Before(to) {
				to = q.Time
			}
		}
	}
	for _, ev := range e.Events {
		if ev.Node == p.Node && ev.Type == conntrack.New && ev.Original.Src == p.Packet.Src &&
			ev.Original.Dst == p.Packet.Dst && ev.Time.After(from) && ev.Time.Before(to) {
			to = ev.Time
		}
	}
	for _, ev := range e.Kernel {
		if ev.Kind == kernel.Drop && ev.At == p.Node && ev.Src == p.Last.Src && ev.Dst == p.Last.Dst &&
			ev.Time.After(from) && ev.Time.Before(to) {
			to = ev.Time
		}
	}
	return to
}

// answersRejected tells whether a packet is what a REJECT rule sends back: a RST, or an ICMP error about what it rejected.
func answersRejected(p *rulepath.Path, q packet.Packet) bool {
	if q.Protocol == packet.ICMP {
		return q.Error.Src == p.Packet.Src && (q.Error.Dst == p.Packet.Dst || q.Error.Dst == p.Last.Dst)
	}
	return q.Flags.Has(packet.RST) && q.Dst == p.Packet.Src && (q.Src == p.Packet.Dst || q.Src == p.Last.Dst)
}

// isOf tells whether a captured packet is the traced one, at whatever hop: translation leaves the numbers alone.
func isOf(p rulepath.Packet, q packet.Packet) bool {
	return p.Protocol == q.Protocol && p.Seq == q.Seq && p.Ack == q.Ack && uint8(p.Flags) == uint8(q.Flags) &&
		(p.Protocol == packet.UDP || p.Length == q.Payload)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// PathObservation is a packet's way through the rules of a node. Its kind is what conntrack said of the packet: NEW for
// one that makes an entry, DROP if a rule threw it away.
func (e *Evidence) PathObservation(p *rulepath.Path, connection int, at time.Time, within time.Duration) Observation {
	kind := p.Tracking.State
	if v := p.Verdict(); v == "DROP" || kind == "" {
		kind = v
	}
	text := strings.TrimPrefix(p.String(), p.Node+" ")
	if by := Dropper(p); by != "" {
		text += ": " + by
	}
	return Observation{T: e.Since(at), Source: string(FromRules), At: p.Node, Kind: kind, Connection: connection,
		Text: text, Detail: p.Lines(), Within: within.Seconds(), Path: pathFacts(p)}
}

// Dropper is the rule or policy that threw the packet away, empty if none did.
func Dropper(p *rulepath.Path) string {
	if p.Verdict() != "DROP" || len(p.Hops) == 0 {
		return ""
	}
	last := p.Hops[len(p.Hops)-1]
	if last.Kind != rulepath.Rule {
		return "the policy of " + last.Chain
	}
	return "-A " + last.Chain + " " + last.Text
}

// pathFacts is a packet's way for programs that do not want to read its line.
func pathFacts(p *rulepath.Path) *PathFacts {
	out := &PathFacts{Protocol: protocolName(p.Packet.Protocol), Src: p.Packet.Src.String(), Dst: p.Packet.Dst.String(),
		Flags: p.Packet.Flags.String(), State: p.Tracking.State, Reply: p.Tracking.Reply, DroppedBy: Dropper(p), Hops: []HopFacts{}}
	for _, h := range p.Hops {
		// A verdict that leads to a chain has its name behind it.
		verdict, target, _ := strings.Cut(h.Verdict, " ")
		out.Hops = append(out.Hops, HopFacts{Table: h.Table, Chain: h.Chain, Kind: h.Kind.String(), Rule: h.Text, Handle: h.Handle,
			Verdict: verdict, Target: target})
	}
	if n := len(out.Hops); n > 0 {
		out.Verdict = out.Hops[n-1].Verdict
	}
	return out
}
