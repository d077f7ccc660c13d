package account

import (
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// Account is what became of one connection: its facts, each list in the order of time, and the outcome they show.
type Account struct {
	Connection
	Flow    evidence.FlowFacts
	Events  []*evidence.EntryEvent
	Packets []*packet.Packet
	reports []*peer.Report
	Last    []*evidence.LastState
	// LastBreak is when the last entry was destroyed by anything but the connection's own packets, firstBreak when the
	// first was; zero if none was.
	LastBreak, firstBreak time.Time
	// failedSend is the number of the client's send after lastBreak that failed first; 0 if none did.
	FailedSend int
	// noticed is when the kernel told one of the programs, noticedBy the fact that shows it; only of external programs. Of
	// their connections, those that were over before the first break or opened after it, and those that replace a lost
	// one, stand aside: no expectation is about them. replacedBy is the one in the place of this.
	noticed     time.Time
	noticedBy   any
	established bool
	Aside       bool
	replacedBy  int
	// silent is from when on nothing that the client's program sent was answered; zero if it was answered. left is when the
	// client ended its side; carried is true if data went over the connection. Only of external programs.
	silent, left time.Time
	carried      bool
	// itemFacts are the facts that the items of Balance rest on, item by item.
	itemFacts [][]any
}

// AccountsOf sorts the evidence by connection and says what became of each; a connection that was never opened has an
// account too. The packets are those of followed.
func AccountsOf(e *evidence.Evidence, connections int, ix evidence.Index, packets []packet.Packet) []*Account {
	out := make([]*Account, connections)
	for i := range out {
		out[i] = &Account{Connection: Connection{ID: i + 1, Backends: []string{}}, Flow: evidence.FlowFacts{ID: i + 1}}
	}
	at := func(id int) *Account {
		if id < 1 || id > len(out) {
			return &Account{} // of no connection: collected and forgotten
		}
		return out[id-1]
	}
	for _, f := range e.Flows {
		at(f.ID).Flow, at(f.ID).Local = f, f.Local.String()
	}
	for i := range e.Events {
		a := at(ix.Event(&e.Events[i]))
		a.Events = append(a.Events, &e.Events[i])
	}
	for i := range packets {
		a := at(ix.Packet(&packets[i]))
		a.Packets = append(a.Packets, &packets[i])
	}
	for i := range e.Reports {
		a := at(ix.Report(&e.Reports[i]))
		a.reports = append(a.reports, &e.Reports[i])
	}
	for i := range e.Last {
		a := at(e.Last[i].Flow)
		a.Last = append(a.Last, &e.Last[i])
	}
	for _, a := range out {
		slices.SortStableFunc(a.Events, func(a, b *evidence.EntryEvent) int { return a.Time.Compare(b.Time) })
		slices.SortStableFunc(a.reports, func(a, b *peer.Report) int { return a.Time.Compare(b.Time) })
		a.follow(e)
	}
	if e.External {
		judgeExternal(e, out)
	} else {
		for _, a := range out {
			a.conclude(e)
		}
	}
	withSettings(e, out)
	return out
}

// follow reads the entries' fates and the sends off the lists.
func (a *Account) follow(e *evidence.Evidence) {
	over := a.overAt(e)
	for _, ev := range a.Events {
		if !e.Translates(ev.Node) || !over.IsZero() && ev.Time.After(over) {
			continue
		}
		if pod := e.Pick(ev); ev.Type == conntrack.New && pod != "" {
			a.Backends = append(a.Backends, pod)
		}
		if by := ev.DestroyedBy(); by == conntrack.Caller && !fault.Is("flush-is-no-break") || by == conntrack.Expired && !fault.Is("expiry-is-no-break") {
			if a.Breaks++; a.Breaks == 1 {
				a.firstBreak = ev.Time
			}
			if !fault.Is("break-time-ignored") {
				a.LastBreak = ev.Time
			}
		}
	}
	sends := 0
	for _, r := range a.reports {
		if r.Side == peer.Client && r.Call == peer.Send && r.Time.After(a.LastBreak) {
			sends++
			if r.Err != nil && a.FailedSend == 0 {
				a.FailedSend = sends
			}
		}
	}
}

// overAt is when a program's connection was over for its client: by a RST, or by both FINs. What becomes of its entry then
// is no break. Zero if it never was, and of ctsim's own client, whose steps end connections.
func (a *Account) overAt(e *evidence.Evidence) time.Time {
	var fins [2]bool
	for _, p := range a.Packets {
		if !e.External || p.At != e.ClientAt || p.Protocol != packet.TCP {
			continue
		}
		out := p.Direction == packet.Out
		switch {
		case p.Flags.Has(packet.RST) && (out || p.Src == e.Service):
			return p.Time
		case p.Flags.Has(packet.FIN) && out:
			fins[0] = true
		case p.Flags.Has(packet.FIN):
			fins[1] = true
		}
		if fins[0] && fins[1] {
			return p.Time
		}
	}
	return time.Time{}
}

// conclude draws up the balance of a connection of ctsim's own client, and names what became of it.
func (a *Account) conclude(e *evidence.Evidence) {
	j := newJudge(e, a)
	if first := j.firstError(); first != nil {
		a.Errno, a.NoticedBy = peer.Errno(first.Err), string(first.Side)
		if fault.Is("wrong-side") {
			a.NoticedBy = string(j.peerOf(j.client).side)
		}
	}
	if j.ownServer() {
		a.LostMessages = new(max(a.Lost(), 0))
	}
	a.LostAnswers = j.lostAnswers()
	j.draw()
	if j.datagrams {
		a.Outcome = j.udp()
	} else {
		a.Outcome = j.tcp()
	}
	j.d.done(a)
	a.leaveBehind()
}

// lostAnswers counts what servers have sent with success and the client's kernel has not got; nil if that is not known.
// Of a server that tells nothing of its calls there is nothing to count.
func (j *judge) lostAnswers() *int {
	sent, got := len(j.server.sent), 0
	switch {
	case !j.ownServer():
		return nil
	case sent == 0:
		return new(0)
	case j.knows(evidence.FromPackets) && j.datagrams:
		got = j.client.segments
	case j.knows(evidence.FromPackets):
		got = j.client.gotBytes / peer.MessageSize
	case j.client.last != nil && !j.datagrams:
		got = int(j.client.last.BytesReceived) / peer.MessageSize
	default:
		return nil
	}
	return new(max(sent-got, 0))
}

// leaveBehind notes who holds a connection that is lost: nobody was told, or a server still has its socket established.
func (a *Account) leaveBehind() {
	switch a.Outcome {
	case Reset, Timeout:
		if a.NoticedBy != string(peer.Server) && a.openServer() != nil && !fault.Is("half-open-ignored") || fault.Is("half-open-always") {
			a.Peer = HalfOpen
		}
	case Hang, Refused, WrongBackend:
	default:
		return
	}
	if a.NoticedBy == "" {
		a.NoticedBy = Nobody
	}
}

// openServer is the last state of a server's socket that is still established; nil if there is none.
func (a *Account) openServer() *evidence.LastState {
	for _, l := range a.Last {
		if l.Side == peer.Server && l.State == "ESTABLISHED" {
			return l
		}
	}
	return nil
}

// Rerouted is true if the last entry leads to another backend than the first.
func (a *Account) Rerouted() bool {
	return len(a.Backends) > 1 && (a.Backends[len(a.Backends)-1] != a.Backends[0] || fault.Is("rerouted-by-count"))
}

// udp is true if the connection's packets are UDP.
func (a *Account) udp() bool { return len(a.Packets) > 0 && a.Packets[0].Protocol == packet.UDP }

// Lost counts the client's messages that were sent with success and that no server has received.
func (a *Account) Lost() int {
	n := 0
	for _, r := range a.reports {
		switch {
		case r.Err != nil && r.Side == peer.Client && r.Call == peer.Send && fault.Is("lost-counts-failures"):
			n++
		case r.Err != nil || r.Bytes == 0 || fault.Is("lost-counted-received"):
		case r.Side == peer.Client && r.Call == peer.Send:
			n++
		case r.Side == peer.Server && r.Call == peer.Recv:
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
