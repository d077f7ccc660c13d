package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// timeline is every observation in the order of time; packets are those of followed, comments those of comments. The
// clock is CLOCK_REALTIME throughout: the kernel stamps packets, conntrack events and its own trace with it,
// applications, steps and looks at sockets read it. What has no such stamp lies within two that have, see when.
func (e *evidence) timeline(ix index, packets []packet.Packet, comments map[int]string) []Observation {
	out := make([]Observation, 0, len(e.notes)+len(e.reports)+len(e.events)+len(e.packets)+len(e.looks)+len(e.paths)+len(e.kernel))
	for _, n := range e.notes {
		out = append(out, e.stepObservation(n))
	}
	for _, r := range e.reports {
		out = append(out, e.applicationObservation(r, ix.report(r)))
	}
	for _, ev := range e.events {
		out = append(out, e.conntrackObservation(ev, ix.event(ev)))
	}
	journeys := e.journeys(ix, packets)
	for i, p := range packets {
		o := e.packetObservation(p, ix.packet(p))
		o.Packet = packetFacts(p, journeys[i], comments[i])
		out = append(out, o)
	}
	for _, l := range e.looks {
		out = append(out, e.socketObservation(l))
	}
	for _, o := range e.output {
		out = append(out, e.outputObservation(o))
	}
	for _, p := range e.paths {
		at, within := e.when(p)
		out = append(out, e.pathObservation(p, ix.path(p, at), at, within))
	}
	for i, ev := range e.kernel {
		if !e.folded(i) {
			out = append(out, e.kernelObservation(ev, ix.kernel(ev)))
		}
	}
	slices.SortStableFunc(out, func(a, b Observation) int {
		switch {
		case a.T < b.T:
			return -1
		case a.T > b.T:
			return 1
		}
		return 0
	})
	markUnordered(out)
	return out
}

// markUnordered marks what may as well have come before or after a neighbour.
func markUnordered(all []Observation) {
	for i := range all {
		o := &all[i]
		near := func(j int) bool {
			return j >= 0 && j < len(all) && math.Abs(all[j].T-o.T) < o.Within+all[j].Within-1e-9 // at its very end is outside
		}
		o.Unordered = o.Within > 0 && (near(i-1) || near(i+1))
	}
}

// followed are the packets in the order of time, with what can be told only by one who has followed their streams:
// relative numbers, and what repeats another.
func (e *evidence) followed() []packet.Packet {
	out := slices.Clone(e.packets)
	packet.Sort(out)
	var flows packet.Flows
	for i, p := range out {
		out[i] = flows.Follow(p)
	}
	return out
}

// since is seconds from the start of the run, to the nanosecond.
func (e *evidence) since(t time.Time) float64 { return t.Sub(e.started).Seconds() }

func (e *evidence) stepObservation(n note) Observation {
	return Observation{T: e.since(n.time), Source: "step", At: n.at, Kind: n.kind, Text: n.text}
}

func (e *evidence) conntrackObservation(ev nodeEvent, connection int) Observation {
	ev.Start, ev.Stop = time.Time{}, time.Time{} // no delta-time= in the line: kube-proxy's nodes do not have it
	return Observation{T: e.since(ev.Time), Source: "conntrack", At: ev.node, Kind: ev.Type.String(),
		Text: strings.TrimRight(ev.String(), " "), By: e.destroyedBy(ev), Connection: connection}
}

// destroyedBy tells in words who destroyed the entry, empty if the event is no DESTROY.
func (e *evidence) destroyedBy(ev nodeEvent) string {
	switch ev.DestroyedBy() {
	case conntrack.NotDestroyed:
		return ""
	case conntrack.Expired:
		return "expired"
	case conntrack.Caller:
		if e.ours[ev.PortID] {
			return "flushed by ctsim"
		}
		if e.deleted[ev.PortID] {
			return "deleted by ctsim"
		}
		return fmt.Sprintf("deleted by a caller (port id %d)", ev.PortID)
	case conntrack.Reset:
		return "ended by a RST"
	}
	return "ended by the kernel"
}

func (e *evidence) applicationObservation(r probe.Report, connection int) Observation {
	at, text := r.Time, r.String()
	if !r.Began.IsZero() {
		at = r.Began // what the call caused comes after it
		if took := r.Time.Sub(at); took >= 100*time.Millisecond {
			text += fmt.Sprintf(", after %d ms", took.Milliseconds())
		}
	}
	return Observation{T: e.since(at), Source: string(r.Side), At: r.At, Kind: string(r.Call), Text: text, Connection: connection}
}

func (e *evidence) socketObservation(l look) Observation {
	facts := &SocketFacts{Side: string(l.side), State: l.State.String(), Timer: l.Timer.Netstat(),
		SendQueue: l.SendQueue, RecvQueue: l.RecvQueue}
	if l.Info != nil {
		facts.Unacked, facts.Retransmits = l.Info.Unacked, l.Info.Retransmits
	}
	return Observation{T: e.since(l.time), Source: string(FromSockets), At: l.at, Kind: facts.State,
		Text: strings.TrimSpace(l.Socket.String()), Connection: l.flow, Socket: facts}
}

func (e *evidence) packetObservation(p packet.Packet, connection int) Observation {
	kind := "packet"
	for _, f := range []struct {
		flag packet.TCPFlags
		name string
	}{{packet.RST, "RST"}, {packet.SYN, "SYN"}, {packet.FIN, "FIN"}} {
		if p.Protocol == packet.TCP && p.Flags.Has(f.flag) {
			kind = f.name
			break
		}
	}
	return Observation{T: e.since(p.Time), Source: "packet", At: p.At, Kind: kind,
		Text: p.Direction.String() + " " + p.String(), Connection: connection}
}
