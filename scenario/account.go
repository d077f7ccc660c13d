package scenario

import (
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// account is what became of one connection: its facts, each list in the order of time, and the outcome they show.
type account struct {
	Connection
	flow    flowFacts
	events  []*entryEvent
	packets []*packet.Packet
	reports []*probe.Report
	last    []*lastState
	// lastBreak is when the last entry was destroyed by anything but the connection's own packets; zero if none was.
	lastBreak time.Time
	// failedSend is the number of the client's send after lastBreak that failed first; 0 if none did.
	failedSend int
	// noticed is when the kernel told one of the programs, noticedBy the fact that shows it; only of external programs. Of
	// their connections, those that were closed before the first break, and those that replace a lost one, stand aside: no
	// expectation is about them. replacedBy is the one in the place of this.
	noticed     time.Time
	noticedBy   any
	established bool
	aside       bool
	replacedBy  int
}

// accountsOf sorts the evidence by connection and says what became of each; a connection that was never opened has an
// account too. The packets are those of followed.
func accountsOf(e *evidence, connections int, ix index, packets []packet.Packet) []*account {
	out := make([]*account, connections)
	for i := range out {
		out[i] = &account{Connection: Connection{ID: i + 1, Backends: []string{}}, flow: flowFacts{id: i + 1}}
	}
	at := func(id int) *account {
		if id < 1 || id > len(out) {
			return &account{} // of no connection: collected and forgotten
		}
		return out[id-1]
	}
	for _, f := range e.flows {
		at(f.id).flow, at(f.id).Local = f, f.local.String()
	}
	for i := range e.events {
		a := at(ix.event(&e.events[i]))
		a.events = append(a.events, &e.events[i])
	}
	for i := range packets {
		a := at(ix.packet(&packets[i]))
		a.packets = append(a.packets, &packets[i])
	}
	for i := range e.reports {
		a := at(ix.report(&e.reports[i]))
		a.reports = append(a.reports, &e.reports[i])
	}
	for i := range e.last {
		a := at(e.last[i].flow)
		a.last = append(a.last, &e.last[i])
	}
	for _, a := range out {
		slices.SortStableFunc(a.events, func(a, b *entryEvent) int { return a.Time.Compare(b.Time) })
		slices.SortStableFunc(a.reports, func(a, b *probe.Report) int { return a.Time.Compare(b.Time) })
		a.follow(e)
		a.conclude(e.world)
	}
	if e.external {
		judgeExternal(e, out)
	}
	withSettings(e, out)
	return out
}

// follow reads the entries' fates and the sends off the lists.
func (a *account) follow(e *evidence) {
	for _, ev := range a.events {
		if !e.translates(ev.node) {
			continue
		}
		if pod := e.pick(ev); ev.Type == conntrack.New && pod != "" {
			a.Backends = append(a.Backends, pod)
		}
		if by := ev.DestroyedBy(); by == conntrack.Caller || by == conntrack.Expired {
			a.Breaks++
			a.lastBreak = ev.Time
		}
	}
	sends := 0
	for _, r := range a.reports {
		if r.Err != nil && a.Errno == "" && r.Call != probe.Close {
			a.Errno, a.NoticedBy = probe.Errno(r.Err), string(r.Side)
		}
		if r.Side == probe.Client && r.Call == probe.Send && r.Time.After(a.lastBreak) {
			sends++
			if r.Err != nil && a.failedSend == 0 {
				a.failedSend = sends
			}
		}
	}
}

// conclude names what became of the connection.
func (a *account) conclude(w world) {
	a.Outcome = a.outcome(w)
	if a.Outcome == Reset && a.NoticedBy != string(probe.Server) {
		a.halfOpen()
	}
}

// halfOpen notes that a server still holds its socket of a connection that the client has lost.
func (a *account) halfOpen() {
	if a.openServer() != nil {
		a.Peer = HalfOpen
	}
}

// openServer is the last state of a server's socket that is still established; nil if there is none.
func (a *account) openServer() *lastState {
	for _, l := range a.last {
		if l.side == probe.Server && l.State == "ESTABLISHED" {
			return l
		}
	}
	return nil
}

func (a *account) outcome(w world) Outcome {
	switch a.Errno {
	case "ECONNREFUSED":
		return Refused
	case "ECONNRESET", "EPIPE":
		return Reset
	case "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH":
		return Timeout
	}
	if a.flow.local.Port() == 0 {
		return Timeout // no socket, and no error: the run ended while it was connecting
	}
	for _, l := range a.last {
		switch {
		case l.Closed() && l.side == probe.Client:
			return Reset // its application has not looked yet
		case l.Retransmits > 0:
			return Hang
		}
	}
	first, last := "", ""
	for _, r := range a.reports {
		if r.Side == probe.Server && r.Call == probe.Recv && r.Bytes > 0 {
			if first == "" {
				first = r.At
			}
			last = r.At
		}
	}
	if last != "" && a.udp() {
		return Survived // each message is on its own; who received it is for the events to say
	}
	if first != last || (last != "" && !w.isPod(last)) {
		return WrongBackend
	}
	return Survived
}

// rerouted is true if the last entry leads to another backend than the first.
func (a *account) rerouted() bool {
	return len(a.Backends) > 1 && a.Backends[len(a.Backends)-1] != a.Backends[0]
}

// udp is true if the connection's packets are UDP.
func (a *account) udp() bool { return len(a.packets) > 0 && a.packets[0].Protocol == packet.UDP }

// lost counts the client's messages that were sent with success and that no server has received.
func (a *account) lost() int {
	n := 0
	for _, r := range a.reports {
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

// Count is a number of things in words: "1 break", "3 breaks".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
