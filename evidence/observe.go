package evidence

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

func (e *Evidence) stepObservation(d *Deed, number int) Observation {
	return Observation{T: e.Since(d.Time), Source: "step", At: d.At, Kind: d.Kind, Text: d.Text, Step: &StepFacts{Number: number, Exec: execFacts(d.Exec)}}
}

// NewestStep is the deed that was noted last.
func (e *Evidence) NewestStep() Observation {
	last := len(e.Deeds) - 1
	return e.stepObservation(&e.Deeds[last], e.stepNumbers()[last])
}

// stepNumbers count the different deeds: one that was done before, with the same words, has the number it had then.
func (e *Evidence) stepNumbers() []int {
	type words struct{ at, kind, text string }
	known, out := map[words]int{}, make([]int, len(e.Deeds))
	for i, d := range e.Deeds {
		w := words{d.At, d.Kind, d.Text}
		if known[w] == 0 {
			known[w] = len(known) + 1
		}
		out[i] = known[w]
	}
	return out
}

func (e *Evidence) ConntrackObservation(ev *EntryEvent, connection int) Observation {
	line := ev.Event
	line.Start, line.Stop = time.Time{}, time.Time{} // no delta-time= in the line: kube-proxy's nodes do not have it
	return Observation{T: e.Since(ev.Time), Source: string(FromConntrack), At: ev.Node, Kind: ev.Type.String(),
		Text: strings.TrimRight(line.String(), " "), By: e.DestroyedBy(ev), Connection: connection, Within: ev.Within.Seconds(), Entry: FactsOf(ev)}
}

// entryFacts is the entry of an event for programs that do not want to read its line.
func FactsOf(ev *EntryEvent) *EntryFacts {
	out := &EntryFacts{Event: ev.Type.String(), Protocol: strings.ToLower(protocolName(ev.Original.Protocol)),
		Original:  TupleFacts{endpoint(ev.Original.Src), endpoint(ev.Original.Dst)},
		Reply:     TupleFacts{endpoint(ev.Reply.Src), endpoint(ev.Reply.Dst)},
		Unreplied: ev.HasStatus && !ev.Status.Has(conntrack.StatusSeenReply), Assured: ev.Status.Has(conntrack.StatusAssured),
		Offloaded:  ev.Status.Has(conntrack.StatusOffload),
		Translates: ev.Original.Dst != ev.Reply.Src || ev.Original.Src != ev.Reply.Dst,
		Destroyer:  DestroyerWord(ev.DestroyedBy())}
	if out.Destroyer == "caller" {
		out.PortID = ev.PortID
	}
	if ev.HasTCP {
		out.State = ev.TCP.String()
	}
	if ev.HasTimeout {
		left := int(ev.Timeout / time.Second)
		out.Left = &left
	}
	return out
}

// DestroyerWord is who ended an entry, as an expectation names it.
func DestroyerWord(by conntrack.Destroyer) string {
	switch by {
	case conntrack.Caller:
		return "caller"
	case conntrack.Expired:
		return "expiry"
	case conntrack.Reset:
		return "rst"
	case conntrack.Kernel:
		return "kernel"
	case conntrack.Untold:
		return "untold"
	}
	return ""
}

// DestroyedBy tells in words who destroyed the entry, empty if the event is no DESTROY.
func (e *Evidence) DestroyedBy(ev *EntryEvent) string {
	switch ev.DestroyedBy() {
	case conntrack.NotDestroyed:
		return ""
	case conntrack.Expired:
		return "expired"
	case conntrack.Caller:
		if e.Ours[ev.PortID] {
			return "flushed by ctsim"
		}
		if e.Deleted[ev.PortID] {
			return "deleted by ctsim"
		}
		return fmt.Sprintf("deleted by a caller (port id %d)", ev.PortID)
	case conntrack.Reset:
		return "ended by a RST"
	case conntrack.Untold:
		return "ended, and this kernel does not tell by what (Linux 5.12 and newer do)"
	}
	return "ended by the kernel"
}

func (e *Evidence) ApplicationObservation(r *peer.Report, connection int) Observation {
	facts := callFacts(r)
	at, text := r.Time, r.String()
	if !r.Began.IsZero() {
		at = r.Began                             // what the call caused comes after it
		took := r.Time.Round(0).Sub(at.Round(0)) // on the clock of all other facts
		if took >= SlowCall {
			text += fmt.Sprintf(", after %d ms", took.Milliseconds())
		}
		began, seconds := e.Since(at), took.Seconds()
		facts.Began, facts.Took = &began, &seconds
	}
	return Observation{T: e.Since(at), Source: string(r.Side), At: r.At, Kind: string(r.Call), Text: text, Connection: connection, Call: facts}
}

// SlowCall is from how long on it is worth a word how long a call took.
const SlowCall = 100 * time.Millisecond

func callFacts(r *peer.Report) *CallFacts {
	out := &CallFacts{Call: string(r.Call), Bytes: r.Bytes, Errno: peer.Errno(r.Err)}
	if r.Local.IsValid() {
		out.Local = r.Local.String()
	}
	if r.Remote.IsValid() {
		out.Remote = r.Remote.String()
	}
	if r.Call == peer.Recv && r.Bytes > 0 {
		out.Data = strconv.Quote(string(r.Data))
	}
	if words := peer.ErrnoText(r.Err); r.Err != nil && words != out.Errno { // "ECONNRESET (connection reset by peer)"
		out.Error = strings.TrimSuffix(strings.TrimPrefix(words, out.Errno+" ("), ")")
	}
	return out
}

// capitals finds what may be the name of an errno.
var capitals = regexp.MustCompile(`\bE[A-Z0-9]+\b`)

// namedErrno is the first name of an errno in what a program has written; empty if there is none.
func namedErrno(line string) string {
	for _, word := range capitals.FindAllString(line, -1) {
		for errno := syscall.Errno(1); errno < 134; errno++ {
			if peer.Errno(errno) == word {
				return word
			}
		}
	}
	return ""
}

func (e *Evidence) OutputObservation(o *OutputLine) Observation {
	return Observation{T: e.Since(o.Time), Source: string(o.Side), At: o.At, Kind: string(o.Stream), Text: o.Text,
		Output: &OutputFacts{Stream: string(o.Stream), Line: o.Text, Errno: namedErrno(o.Text)}}
}

func (e *Evidence) SocketObservation(s *SocketSample) Observation {
	facts := &SocketFacts{Side: string(s.Side), State: s.State.String(), Timer: s.Timer.Netstat(), TimerKind: s.Timer.Kind.String(),
		SendQueue: s.SendQueue, RecvQueue: s.RecvQueue, Local: s.Local.String(), Remote: s.Remote.String()}
	if s.Info != nil {
		facts.Unacked, facts.Retransmits = s.Info.Unacked, s.Info.Retransmits
	}
	return Observation{T: e.Since(s.Time), Source: string(FromSockets), At: s.At, Kind: facts.State,
		Text: strings.TrimSpace(s.Socket.String()), Connection: s.Flow, Socket: facts}
}

// lastObservation is a socket as it was at the end of the run. That is asked of whoever holds it, whether sockets were
// watched or not, and so is a fact of its side.
func (e *Evidence) lastObservation(l *LastState) Observation {
	text := "at the end " + l.State
	if l.State == "" {
		text = "at the end a UDP socket"
	}
	if l.Timer != "" {
		text += ", timer " + l.Timer
	}
	if l.Pending != nil {
		text += ", " + peer.Errno(l.Pending) + " pending"
	}
	return Observation{T: e.Since(e.Ended), Source: string(l.Side), At: l.At, Kind: "state", Text: text, Connection: l.Flow,
		Socket: &SocketFacts{Side: string(l.Side), State: l.State, Timer: l.Timer, TimerKind: l.Timer,
			SendQueue: l.SendQueue, RecvQueue: l.RecvQueue, Unacked: l.Unacked, Retransmits: l.Retransmits, Pending: peer.Errno(l.Pending)}}
}

func (e *Evidence) PacketObservation(p *packet.Packet, connection int) Observation {
	kind := "packet"
	for _, f := range []struct {
		flag packet.TCPFlags
		name string
	}{{packet.RST, "RST"}, {packet.SYN | packet.ACK, "SYN+ACK"}, {packet.SYN, "SYN"}, {packet.FIN, "FIN"}} {
		if p.Protocol == packet.TCP && p.Flags.Has(f.flag) {
			kind = f.name
			break
		}
	}
	return Observation{T: e.Since(p.Time), Source: string(FromPackets), At: p.At, Kind: kind,
		Text: p.Direction.String() + " " + p.String(), Connection: connection, Packet: packetFacts(p)}
}

// packetFacts are the headers of a packet for people and programs that do not want to read its line.
func packetFacts(p *packet.Packet) *PacketFacts {
	out := &PacketFacts{Direction: p.Direction.String(), Protocol: protocolName(p.Protocol), Src: p.Src.String(),
		Dst: p.Dst.String(), Length: p.Payload}
	switch p.Protocol {
	case packet.TCP:
		out.Flags, out.Repeat = p.Flags.String(), p.Relative.Repeat.String()
		out.Seq, out.Ack = int64(p.Relative.Seq), int64(p.Relative.Ack)
	case packet.ICMP:
		name := packet.ICMPError{Type: p.Error.Type, Code: p.Error.Code}.String()
		out.ICMP = &ICMPFacts{Type: int(p.Error.Type), Code: int(p.Error.Code), Name: name}
		if p.Error.Protocol != 0 {
			out.ICMP.Protocol = protocolName(p.Error.Protocol)
			out.ICMP.Src, out.ICMP.Dst = endpoint(p.Error.Src), endpoint(p.Error.Dst)
		}
	}
	return out
}
