package scenario

import (
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// story is what belongs to one connection, each list in the order of time, and what became of it.
type story struct {
	Connection
	facts   flowFacts
	events  []nodeEvent
	packets []packet.Packet
	reports []probe.Report
	finals  []final
	// lastBreak is when the last entry was destroyed by anything but the connection's own packets; zero if none was.
	lastBreak time.Time
	// failedSend is the number of the client's send after lastBreak that failed first; 0 if none did.
	failedSend int
	// noticed is when the kernel told one of the programs; only of programs that ctsim has not written. Of their
	// connections, those that were closed before the first break, and those that replace a lost one, stand aside: no
	// expectation is about them. replacedBy is the one in the place of this.
	noticed     time.Time
	established bool
	aside       bool
	replacedBy  int
}

// stories sorts the evidence by connection and judges each; a connection that was never opened has a story too.
func (e *evidence) stories(connections int, ix index, packets []packet.Packet) []*story {
	out := make([]*story, connections)
	for i := range out {
		out[i] = &story{Connection: Connection{ID: i + 1, Backends: []string{}}, facts: flowFacts{id: i + 1}}
	}
	at := func(id int) *story {
		if id < 1 || id > len(out) {
			return &story{} // of no connection: collected and forgotten
		}
		return out[id-1]
	}
	for _, f := range e.flows {
		at(f.id).facts, at(f.id).Local = f, f.local.String()
	}
	for _, ev := range e.events {
		s := at(ix.event(ev))
		s.events = append(s.events, ev)
	}
	for _, p := range packets {
		s := at(ix.packet(p))
		s.packets = append(s.packets, p)
	}
	for _, r := range e.reports {
		s := at(ix.report(r))
		s.reports = append(s.reports, r)
	}
	for _, f := range e.finals {
		at(f.flow).finals = append(at(f.flow).finals, f)
	}
	for _, s := range out {
		slices.SortStableFunc(s.events, func(a, b nodeEvent) int { return a.Time.Compare(b.Time) })
		slices.SortStableFunc(s.reports, func(a, b probe.Report) int { return a.Time.Compare(b.Time) })
		s.follow(e)
		s.conclude(podNames(e))
	}
	if e.foreignClient {
		e.judgeForeign(out)
	}
	e.withSettings(out)
	return out
}

// follow reads the entries' fates and the sends off the lists.
func (s *story) follow(e *evidence) {
	for _, ev := range s.events {
		if ev.node != translating {
			continue
		}
		if pod := e.pick(ev); ev.Type == conntrack.New && pod != "" {
			s.Backends = append(s.Backends, pod)
		}
		if by := ev.DestroyedBy(); by == conntrack.Caller || by == conntrack.Expired {
			s.Breaks++
			s.lastBreak = ev.Time
		}
	}
	sends := 0
	for _, r := range s.reports {
		if r.Err != nil && s.Errno == "" && r.Call != probe.Close {
			s.Errno, s.NoticedBy = probe.Errno(r.Err), string(r.Side)
		}
		if r.Side == probe.Client && r.Call == probe.Send && r.Time.After(s.lastBreak) {
			sends++
			if r.Err != nil && s.failedSend == 0 {
				s.failedSend = sends
			}
		}
	}
}

// conclude names what became of the connection.
func (s *story) conclude(endpoints []string) {
	s.Outcome = s.outcome(endpoints)
	if s.Outcome != Reset || s.NoticedBy == string(probe.Server) {
		return
	}
	for _, f := range s.finals {
		if f.side == probe.Server && f.State == "ESTABLISHED" {
			s.Peer = HalfOpen
		}
	}
}

func (s *story) outcome(endpoints []string) Outcome {
	switch s.Errno {
	case "ECONNREFUSED":
		return Refused
	case "ECONNRESET", "EPIPE":
		return Reset
	case "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH":
		return Timeout
	}
	if s.facts.local.Port() == 0 {
		return Timeout // no socket, and no error: the run ended while it was connecting
	}
	for _, f := range s.finals {
		switch {
		case f.Closed() && f.side == probe.Client:
			return Reset // its application has not looked yet
		case f.Retransmits > 0:
			return Hang
		}
	}
	first, last := "", ""
	for _, r := range s.reports {
		if r.Side == probe.Server && r.Call == probe.Recv && r.Bytes > 0 {
			if first == "" {
				first = r.At
			}
			last = r.At
		}
	}
	if last != "" && s.udp() {
		return Survived // each message is on its own; who received it is for the events to say
	}
	if first != last || (last != "" && !slices.Contains(endpoints, last)) {
		return WrongBackend
	}
	return Survived
}

// rerouted is true if the last entry leads to another backend than the first.
func (s *story) rerouted() bool {
	return len(s.Backends) > 1 && s.Backends[len(s.Backends)-1] != s.Backends[0]
}

// udp is true if the connection's packets are UDP.
func (s *story) udp() bool { return len(s.packets) > 0 && s.packets[0].Protocol == packet.UDP }

// lost counts the client's messages that were sent with success and that no server has received.
func (s *story) lost() int {
	n := 0
	for _, r := range s.reports {
		switch {
		case r.Err != nil || r.Bytes == 0:
		case r.Side == probe.Client && r.Call == probe.Send:
			n++
		case r.Side == probe.Server && r.Call == probe.Recv:
			n--
		}
	}
	return n
}
