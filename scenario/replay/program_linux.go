package replay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/program"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/scenario"
)

// printed notes a line of a program's output.
func (r *recorder) printed(side peer.Side, place string, l program.Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	o := evidence.OutputLine{Side: side, At: place, Line: l}
	r.ev.Output = append(r.ev.Output, o)
	r.live(func() evidence.Observation { return r.ev.OutputObservation(&o) })
}

// discover notes a connection that the client's program begins. Each SYN is seen once where the client is; one that is
// sent again has the same number.
func (r *recorder) discover(p packet.Packet) {
	if !r.ev.External || p.At != r.ev.ClientAt || p.Direction != packet.Out || p.Protocol != packet.TCP ||
		p.Dst != r.ev.Service || !p.Flags.Has(packet.SYN) || p.Flags.Has(packet.ACK) {
		return
	}
	if seq, begun := r.begun[p.Src]; begun && seq == p.Seq {
		return
	}
	r.begun[p.Src] = p.Seq
	f := evidence.FlowFacts{ID: len(r.ev.Flows) + 1, Local: p.Src, Since: p.Time}
	r.ev.Flows = append(r.ev.Flows, f)
	r.index.Add(f.Local, f)
}

// adopt takes the connections over that the client's program has opened.
func (x *programs) adopt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.plan.ExternalClient() {
		return
	}
	for _, f := range x.ev.Flows[len(x.flows):] {
		x.flows = append(x.flows, &flow{id: f.ID, local: f.Local, since: f.Since, tried: true})
	}
}

// address is the client's of a connection; not valid if it was never opened.
func (f *flow) address() netip.AddrPort {
	if f.conn != nil {
		return f.conn.Local()
	}
	return f.local
}

// clientSockets are the sockets of the client's program that lead to the service, by their own address.
func (x *programs) clientSockets() (map[netip.AddrPort]socket.Socket, error) {
	all, err := x.sockets(x.ev.ClientAt)
	out := map[netip.AddrPort]socket.Socket{}
	for _, s := range all {
		if unmapped(s.Remote) == x.service() {
			out[unmapped(s.Local)] = s
		}
	}
	return out, err
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// untilPrinted waits until the client's program has written a text, in one line.
func (x *programs) untilPrinted(ctx context.Context, text string, within time.Duration) error {
	x.tell(fmt.Sprintf("wait until the client prints %q", text), within)
	err := x.client.Await(ctx, x.lab.Namespace(x.ev.ClientAt), within, fmt.Sprintf("it printed %q", text), func([]socket.Socket) bool {
		return slices.ContainsFunc(x.client.Lines(), func(l program.Line) bool { return strings.Contains(l.Text, text) })
	})
	return hinted(err, "programs may keep their output in a buffer where it is no terminal: stdbuf -oL COMMAND")
}

// untilIdle waits until the client's program has connections to the service and nothing has come or gone on them for
// some time. Connections that it has closed again do not count.
func (x *programs) untilIdle(ctx context.Context, silence, within time.Duration) error {
	ns := x.lab.Namespace(x.ev.ClientAt)
	x.tell("wait until the client's connection is established and idle", within)
	err := x.client.Await(ctx, ns, within, fmt.Sprintf("it had a connection to %s that was idle for %s", x.service(), silence),
		func(all []socket.Socket) bool {
			n := 0
			for _, s := range all {
				switch {
				case unmapped(s.Remote) != x.service() || s.State == socket.TimeWait:
				case !idle(s, silence):
					return false
				default:
					n++
				}
			}
			return n > 0
		})
	err = hinted(err, "the client has to keep a connection to $SERVICE open; a question for a password fails, it has no terminal")
	if err == nil {
		err = x.drain()
	}
	x.adopt()
	return err
}

// idle tells whether nothing is under way on a connection, and for how long nothing was.
func idle(s socket.Socket, silence time.Duration) bool {
	return s.State == socket.Established && s.SendQueue == 0 && s.RecvQueue == 0 && s.Info != nil && s.Info.Unacked == 0 &&
		s.Info.LastDataSent >= silence && s.Info.LastDataReceived >= silence && s.Info.LastAckReceived >= silence
}

// noteSettings asks what the programs have set on both ends of every open connection.
func (x *programs) noteSettings() error {
	for _, f := range x.flows {
		for _, end := range x.externalSamples(f) {
			p := x.programAt(end.At)
			if p == nil || end.Inode == 0 {
				continue
			}
			set, err := p.Settings(end.Inode)
			if err != nil {
				x.missing("", fmt.Sprintf("the settings of the %s's socket: %v", end.Side, err))
				continue
			}
			x.mu.Lock()
			x.ev.Settings = append(x.ev.Settings, evidence.Settings{Flow: f.id, Side: end.Side, At: end.At, Settings: set})
			x.mu.Unlock()
		}
	}
	return x.drain()
}

// externalSamples are the sockets of a connection, found by their addresses. A server has as many as the connection had
// backends.
func (x *programs) externalSamples(f *flow) []evidence.SocketSample {
	var out []evidence.SocketSample
	now := time.Now()
	if own, err := x.clientSockets(); err == nil && x.plan.ExternalClient() && x.newest(f) {
		if s, ok := own[f.address()]; ok {
			out = append(out, evidence.SocketSample{Time: now, At: x.ev.ClientAt, Flow: f.id, Side: peer.Client, Socket: s})
		}
	}
	x.mu.Lock()
	at := x.ev.Index() // with the addresses that nodes have put in the client's place
	x.mu.Unlock()
	for _, name := range x.lab.Names() {
		if x.serverNumber(name) < 0 {
			continue
		}
		all, err := x.sockets(name)
		if err != nil {
			continue
		}
		for _, s := range all {
			if s.State != socket.Listening && at.Of(now, unmapped(s.Local), unmapped(s.Remote)) == f.id {
				out = append(out, evidence.SocketSample{Time: now, At: name, Flow: f.id, Side: peer.Server, Socket: s})
			}
		}
	}
	return out
}

// newest is false for a connection whose port a later one has taken.
func (x *programs) newest(f *flow) bool {
	return !slices.ContainsFunc(x.flows, func(o *flow) bool { return o.id > f.id && o.address() == f.address() })
}

// sampleExternal notes the state of both ends of every connection of external programs.
func (x *programs) sampleExternal() {
	if !x.plan.ExternalClient() && !x.plan.ExternalServer() {
		return
	}
	x.adopt()
	for _, f := range x.flows {
		for _, l := range x.externalSamples(f) {
			x.mu.Lock()
			x.ev.Samples = append(x.ev.Samples, l)
			x.live(func() evidence.Observation { return x.ev.SocketObservation(&l) })
			x.mu.Unlock()
		}
	}
}

// keptAlive tells whether the programs would renew the entries before these are as old as they are to be made: with a
// keepalive probe, or by what they say to each other of their own accord. Then the entries are left alone. A probe that
// would come after the entry has expired, but within the time that is to pass, cannot be replayed.
func (x *programs) keptAlive(by time.Duration) (bool, error) {
	if !x.plan.ExternalClient() && !x.plan.ExternalServer() {
		return false, nil
	}
	for _, f := range x.flows {
		left, err := x.longestEntry([]*flow{f})
		if err != nil {
			return false, err
		}
		if left < 0 {
			continue
		}
		if x.spoke(f) {
			return true, x.keep(x.ev.ClientAt, "the entry does not expire: the programs spoke while the connection was idle, and each word renews it")
		}
		for _, end := range x.externalSamples(f) {
			due := end.Timer.Expires
			switch {
			case end.Timer.Kind != socket.Keepalive || due >= by:
			case due < left:
				return true, x.keep(end.At, fmt.Sprintf("the entry does not expire: the next keepalive probe of the %s's program comes in %s and renews it, with %s left to it",
					end.Side, due.Round(time.Second), left.Round(time.Second)))
			case by > x.plan.Conntrack.Established:
				return false, fmt.Errorf("ageing by %s would lie: the keepalive of the %s's program sends a probe in %s, after the entry has expired",
					by, end.Side, due.Round(time.Second))
			}
		}
	}
	return false, nil
}

// keep notes why the entries are not aged.
func (r *recorder) keep(at, text string) error {
	r.note(at, "kept", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Kept, r.ev.KeptAt = text, time.Now()
	return nil
}

// spoke tells whether anything but acknowledgements went over a connection since it was first idle.
func (x *programs) spoke(f *flow) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.idleSince.IsZero() && slices.ContainsFunc(x.ev.Packets, func(p packet.Packet) bool {
		return p.At == x.ev.ClientAt && p.Payload > 0 && p.Time.After(x.idleSince) && x.index.Packet(&p) == f.id
	})
}

// serverNumber is the place of a server pod among all, -1 for any other name.
func (w *world) serverNumber(name string) int {
	return slices.IndexFunc(w.plan.Servers, func(e scenario.End) bool { return e.At == name })
}
