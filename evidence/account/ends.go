package account

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// judge draws up the balance of one connection and reads the outcome off it.
type judge struct {
	e *evidence.Evidence
	a *Account
	// d is the balance, while it is drawn up.
	d drawing
	// server is the end that has taken the connection; its at is empty if none has.
	client, server *end
	// datagrams is true of UDP: then server stands for all servers, which have no sockets of their own for a connection.
	datagrams bool
	// fault is when the connection was last touched by what may break it: its entry was destroyed, or a step changed the
	// world. Zero if nothing has.
	fault time.Time
}

// newJudge sorts the facts of a connection by its two ends.
func newJudge(e *evidence.Evidence, a *Account) *judge {
	j := &judge{e: e, a: a, fault: a.lastFault(e), datagrams: e.UDP || a.udp()}
	j.client = &end{side: peer.Client, at: e.ClientAt, local: a.Flow.Local, remote: e.Service, any: e.Translates(e.ClientAt), silent: e.External}
	j.server = &end{side: peer.Server, silent: !j.ownServer()}
	if !j.datagrams {
		j.server.at = a.taker(e)
		j.server.local, j.server.remote = a.taken(j.server.at)
	}
	for _, p := range a.Packets {
		switch {
		case p.At == j.server.at && p.Direction == packet.Out && p.Flags.Has(packet.RST) && injected(e, p) != nil:
			// ctsim's own step has sent it: the server's socket is as it was.
		case p.At == j.client.at:
			j.client.observe(p)
		case p.At == j.server.at:
			j.server.observe(p)
		}
	}
	for _, r := range a.reports {
		switch {
		case r.Side == peer.Client:
			j.client.call(r)
		case r.At == j.server.at || j.datagrams:
			j.server.call(r)
		}
	}
	for _, s := range []*end{j.client, j.server} {
		i := slices.IndexFunc(a.Last, func(l *evidence.LastState) bool { return l.Side == s.side && l.At == s.at })
		if i < 0 {
			continue
		}
		s.last, s.sample = a.Last[i], a.Last[i]
		if same := sampleOf(e, s.last); same != nil {
			s.sample = same
		}
	}
	return j
}

// sampleOf is the last sample of a socket if it shows the same as its last state; nil otherwise.
func sampleOf(e *evidence.Evidence, l *evidence.LastState) *evidence.SocketSample {
	for i := range slices.Backward(e.Samples) {
		s := &e.Samples[i]
		if s.Flow != l.Flow || s.Side != l.Side || s.At != l.At {
			continue
		}
		queues := s.RecvQueue == l.RecvQueue && s.SendQueue == l.SendQueue || !e.EndsRead // then none were read at the end
		if s.State.String() != l.State || l.Pending != nil || !queues {
			return nil
		}
		return s
	}
	return nil
}

// taker is the place of the server that has taken the connection: that answered its SYN, or whose program has it.
func (a *Account) taker(e *evidence.Evidence) string {
	for _, p := range a.Packets {
		if p.Protocol == packet.TCP && p.Direction == packet.Out && p.At != e.ClientAt && !slices.Contains(e.Nodes, p.At) &&
			p.Flags.Has(packet.SYN|packet.ACK) {
			return p.At
		}
	}
	for _, r := range a.reports {
		if r.Side == peer.Server {
			return r.At
		}
	}
	for _, l := range a.Last {
		if l.Side == peer.Server {
			return l.At
		}
	}
	return ""
}

// taken are the addresses of the socket by which a server has taken the connection, by its program's word or else by its
// SYN+ACK; not valid if neither is known.
func (a *Account) taken(at string) (local, remote netip.AddrPort) {
	for _, r := range a.reports {
		if r.Side == peer.Server && r.At == at && r.Local.IsValid() && r.Remote.IsValid() && r.Call == peer.Recv {
			return r.Local, r.Remote
		}
	}
	for _, p := range a.Packets {
		if p.At == at && p.Direction == packet.Out && p.Flags.Has(packet.SYN|packet.ACK) {
			return p.Src, p.Dst
		}
	}
	return local, remote
}

// faults are the steps that change the world without a conntrack event that shows it.
var faults = []string{"sysctl", "remove-endpoints", "add-endpoints", "stop-servers", "kill-pod", "take-address", "inject"}

// lastFault is when the connection was last touched by what may break it; zero if nothing has. An entry that expires on a
// node that translates nothing is made anew by the next packet, and may be found gone long after.
func (a *Account) lastFault(e *evidence.Evidence) time.Time {
	last := a.LastBreak
	for _, ev := range a.Events {
		if ev.DestroyedBy() == conntrack.Caller && ev.Time.After(last) {
			last = ev.Time
		}
	}
	for _, d := range e.Deeds {
		if d.At == "step" && slices.Contains(faults, d.Kind) && d.Time.After(last) {
			last = d.Time
		}
	}
	return last
}

// knows tells whether a source was watched and has lost nothing: only then what it has not shown has not happened.
func (j *judge) knows(s evidence.Source) bool {
	// An entry that ended nobody knows how may have been a break.
	untold := s == evidence.FromConntrack && slices.ContainsFunc(j.a.Events, func(ev *evidence.EntryEvent) bool {
		return ev.DestroyedBy() == conntrack.Untold
	})
	return !j.e.Unwatched[s] && j.e.Lost[string(s)] == 0 && !untold
}

// ownServer is false if the servers are programs that tell nothing of their calls.
func (j *judge) ownServer() bool {
	return !slices.ContainsFunc(j.e.Programs, func(p evidence.Ran) bool { return p.Side == peer.Server })
}
