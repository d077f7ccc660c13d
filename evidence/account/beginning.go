package account

import (
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// first tells of the first entry that translates. That it was made for the flow's first packet is said only where none
// had gone before without one.
func (t *teller) first(ev *evidence.EntryEvent, pod string) {
	var earlier []any
	for _, p := range t.a.Packets {
		if p.At == t.e.ClientAt && p.Direction == packet.Out && p.Src == t.a.Flow.Local && p.Dst == ev.Original.Dst &&
			ev.Time.Sub(p.Time) > lateEvent {
			earlier = append(earlier, p)
		}
	}
	if len(earlier) > 0 {
		t.say(ev.Time, append(on(ev), earlier...), "%s of the flow %s → %s had gone without an entry; the one now is translated, to %s (%s) by %s",
			Count(len(earlier), "packet", "packets"), ev.Original.Src, ev.Original.Dst, pod, ev.Reply.Src, ev.Node)
		return
	}
	t.say(ev.Time, on(ev), "at its first packet the flow %s → %s was translated, once, to %s (%s) by %s",
		ev.Original.Src, ev.Original.Dst, pod, ev.Reply.Src, ev.Node)
}

// lateEvent is how much later than the packet that caused it a conntrack event may be: before Linux 6.14 it has the time
// at which it was read.
const lateEvent = 100 * time.Millisecond

// bare tells of an entry for the service's address that translates nothing, and why: what made it met no rule that does.
func (t *teller) bare(ev *evidence.EntryEvent) {
	if ev.Type != conntrack.New {
		t.say(ev.Time, on(ev), "%s → %s meets an entry that was there before it and translates nothing: with it, %s asks no rule",
			ev.Original.Src, ev.Original.Dst, ev.Node)
		return
	}
	facts := on(ev)
	for i := range t.e.Paths {
		p := &t.e.Paths[i]
		at, _ := t.e.When(p)
		if p.Node == ev.Node && p.Packet.Src == ev.Original.Src && p.Packet.Dst == ev.Original.Dst && !at.After(ev.Time) {
			facts = append(facts, p)
		}
	}
	if d := t.ruleDeed(ev.Time); d != nil {
		facts = append(facts, d)
	}
	t.say(ev.Time, facts, "the packet %s → %s meets no rule on %s that translates it, and gets an entry that leaves it as it is; as long as "+
		"that lives, no packet of the flow is translated, whatever rules come", ev.Original.Src, ev.Original.Dst, ev.Node)
}

// ruleDeed is the last step before that time which may have changed the rules; nil if there was none.
func (t *teller) ruleDeed(before time.Time) any {
	var last any
	for i := range t.e.Deeds {
		d := &t.e.Deeds[i]
		if d.Time.After(before) {
			break
		}
		if d.At == "step" && (d.Kind == "remove-endpoints" || d.Kind == "exec") {
			last = d
		}
	}
	return last
}

// answered tells whether anything but a RST came back after that time: to the client, or, where packets were not
// watched, as a message to a server.
func (t *teller) answered(after time.Time) bool {
	for _, p := range t.a.Packets {
		if p.At == t.e.ClientAt && p.Direction == packet.In && p.Protocol != packet.ICMP && !p.Flags.Has(packet.RST) && p.Time.After(after) {
			return true
		}
	}
	for _, r := range t.a.reports {
		if r.Err == nil && r.Bytes > 0 && r.Call == "recv" && r.Time.After(after) {
			return true
		}
	}
	return false
}
