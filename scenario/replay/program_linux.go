package replay

import (
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"

	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/program"
	"github.com/ctsim/ctsim/probe/socket"
)

// foreignProgram is a program that ctsim has not written, in the place of the client or of a server.
type foreignProgram struct {
	*program.Program
	side peer.Side
}

// Conn is always nil: the program's sockets are its own.
func (p *foreignProgram) Conn(int) *peer.Conn { return nil }

// Close ends the program. Ending it twice is harmless.
func (p *foreignProgram) Close() error {
	p.Program.Stop()
	return nil
}

// Stop is never asked for: the language refuses it.
func (p *foreignProgram) Stop() error { return p.Close() }

// programs are the foreign ones of the run, the client first.
func (r *run) programs() []*foreignProgram {
	var out []*foreignProgram
	if r.client != nil {
		out = append(out, r.client)
	}
	for _, l := range r.servers {
		if p, ok := l.(*foreignProgram); ok {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *foreignProgram) int { // each server is here as soon as it runs
		return cmp.Or(cmp.Compare(a.side, b.side), r.serverNumber(a.Name())-r.serverNumber(b.Name()))
	})
	return out
}

// startProgram starts the program of one side in a pod or on a node.
func (r *run) startProgram(side peer.Side, end scenario.End) (*foreignProgram, error) {
	var hosts []program.Host
	for _, h := range r.plan.Names {
		hosts = append(hosts, program.Host{Address: h.Address, Names: h.Names})
	}
	started, err := program.Start(r.lab.Namespace(end.At), program.Spec{Name: end.At, Command: end.Program.Command,
		User: end.Program.User, Env: end.Program.Env, Hosts: hosts,
		Output: func(l program.Line) { r.printed(side, end.At, l) }})
	if err != nil {
		return nil, &build.Unsupported{What: fmt.Sprintf("the %s's program did not start", side), Err: err}
	}
	return &foreignProgram{started, side}, nil
}

// printed notes a line of a program's output.
func (r *run) printed(side peer.Side, place string, l program.Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	o := evidence.OutputLine{Side: side, At: place, Line: l}
	r.ev.Output = append(r.ev.Output, o)
	r.live(func() evidence.Observation { return r.ev.OutputObservation(&o) })
}

// serveForeign starts the server's program in every pod, side by side, and waits until all listen.
func (r *run) serveForeign(ctx context.Context) error {
	errs := make([]error, len(r.plan.Servers))
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = r.serveForeignOn(ctx, r.plan.Servers[i]) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the programs are all the same: saying it once is enough
		}
	}
	return nil
}

func (r *run) serveForeignOn(ctx context.Context, end scenario.End) error {
	port := r.plan.Service.Port
	p, err := r.startProgram(peer.Server, end)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.servers = append(r.servers, p)
	r.mu.Unlock()
	r.tell(fmt.Sprintf("wait until the servers listen on port %d", port), 0)
	return hinted(p.Await(ctx, r.lab.Namespace(end.At), end.Program.Ready, fmt.Sprintf("it listened on port %d", port), program.Listens(port)),
		fmt.Sprintf("the server has to listen on port $PORT (%d) of all addresses and to stay in the foreground", port))
}

// hinted turns a program's end into an error with a hint.
func hinted(err error, hint string) error {
	var ended *program.Ended
	if errors.As(err, &ended) {
		if ended.Exit != nil && (ended.Exit.Code == 126 || ended.Exit.Code == 127) {
			hint = "the program starts in a HOME of its own; write the whole path of a command, or $OLDPWD/command"
		}
		return &build.Unsupported{What: "a program did not do what it is here for", Hint: hint, Err: err}
	}
	return err
}

func (r *run) startClient() (err error) {
	r.client, err = r.startProgram(peer.Client, r.plan.Client)
	return err
}

func (r *run) typeToClient(line string) error {
	err := r.client.Type(line)
	if err != nil && r.client.Exit() != nil {
		return nil // it has ended, which is a fact about the client and not a failure of the run
	}
	return err
}

// discover notes a connection that the client's program begins. Each SYN is seen once where the client is; one that is
// sent again has the same number.
func (r *run) discover(p packet.Packet) {
	if !r.plan.ExternalClient() || p.At != r.ev.ClientAt || p.Direction != packet.Out || p.Protocol != packet.TCP ||
		p.Dst != r.service() || !p.Flags.Has(packet.SYN) || p.Flags.Has(packet.ACK) {
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
func (r *run) adopt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.plan.ExternalClient() {
		return
	}
	for _, f := range r.ev.Flows[len(r.flows):] {
		r.flows = append(r.flows, &flow{id: f.ID, local: f.Local, tried: true})
	}
}

// address is the client's of a connection; not valid if it was never opened.
func (f *flow) address() netip.AddrPort {
	if f.conn != nil {
		return f.conn.Local()
	}
	return f.local
}

// sockets are the TCP sockets in a pod or on a node; none if it is gone.
func (r *run) sockets(place string) ([]socket.Socket, error) {
	ns := r.lab.Namespace(place)
	if ns == nil {
		return nil, nil
	}
	if r.readers[place] == nil {
		reader, err := socket.Open(ns)
		if err != nil {
			return nil, err
		}
		r.readers[place] = reader
	}
	return r.readers[place].List()
}

// clientSockets are the sockets of the client's program that lead to the service, by their own address.
func (r *run) clientSockets() (map[netip.AddrPort]socket.Socket, error) {
	all, err := r.sockets(r.ev.ClientAt)
	out := map[netip.AddrPort]socket.Socket{}
	for _, s := range all {
		if unmapped(s.Remote) == r.service() {
			out[unmapped(s.Local)] = s
		}
	}
	return out, err
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// untilPrinted waits until the client's program has written a text, in one line.
func (r *run) untilPrinted(ctx context.Context, text string, within time.Duration) error {
	r.tell(fmt.Sprintf("wait until the client prints %q", text), within)
	err := r.client.Await(ctx, r.lab.Namespace(r.ev.ClientAt), within, fmt.Sprintf("it printed %q", text), func([]socket.Socket) bool {
		return slices.ContainsFunc(r.client.Lines(), func(l program.Line) bool { return strings.Contains(l.Text, text) })
	})
	return hinted(err, "programs may keep their output in a buffer where it is no terminal: stdbuf -oL COMMAND")
}

// untilIdle waits until the client's program has connections to the service and nothing has come or gone on them for
// some time. Connections that it has closed again do not count.
func (r *run) untilIdle(ctx context.Context, silence, within time.Duration) error {
	ns := r.lab.Namespace(r.ev.ClientAt)
	r.tell("wait until the client's connection is established and idle", within)
	err := r.client.Await(ctx, ns, within, fmt.Sprintf("it had a connection to %s that was idle for %s", r.service(), silence),
		func(all []socket.Socket) bool {
			n := 0
			for _, s := range all {
				switch {
				case unmapped(s.Remote) != r.service() || s.State == socket.TimeWait:
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
		err = r.drain()
	}
	r.adopt()
	return err
}

// idle tells whether nothing is under way on a connection, and for how long nothing was.
func idle(s socket.Socket, silence time.Duration) bool {
	return s.State == socket.Established && s.SendQueue == 0 && s.RecvQueue == 0 && s.Info != nil && s.Info.Unacked == 0 &&
		s.Info.LastDataSent >= silence && s.Info.LastDataReceived >= silence && s.Info.LastAckReceived >= silence
}

// noteSettings asks what the programs have set on both ends of every open connection.
func (r *run) noteSettings() error {
	for _, f := range r.flows {
		for _, end := range r.foreignEnds(f) {
			p := r.programAt(end.At)
			if p == nil || end.Inode == 0 {
				continue
			}
			set, err := p.Settings(end.Inode)
			if err != nil {
				r.missing("", fmt.Sprintf("the settings of the %s's socket: %v", end.Side, err))
				continue
			}
			r.mu.Lock()
			r.ev.Settings = append(r.ev.Settings, evidence.Settings{Flow: f.id, Side: end.Side, At: end.At, Settings: set})
			r.mu.Unlock()
		}
	}
	return r.drain()
}

func (r *run) programAt(place string) *foreignProgram {
	i := slices.IndexFunc(r.programs(), func(p *foreignProgram) bool { return p.Name() == place })
	if i < 0 {
		return nil
	}
	return r.programs()[i]
}

// foreignEnds are the sockets of a connection, found by their addresses. A server has as many as the connection had
// backends.
func (r *run) foreignEnds(f *flow) []evidence.SocketSample {
	var out []evidence.SocketSample
	now := time.Now()
	if own, err := r.clientSockets(); err == nil && r.plan.ExternalClient() && r.newest(f) {
		if s, ok := own[f.address()]; ok {
			out = append(out, evidence.SocketSample{Time: now, At: r.ev.ClientAt, Flow: f.id, Side: peer.Client, Socket: s})
		}
	}
	r.mu.Lock()
	at := r.ev.Index() // with the addresses that nodes have put in the client's place
	r.mu.Unlock()
	for _, name := range r.lab.Names() {
		if r.serverNumber(name) < 0 {
			continue
		}
		all, err := r.sockets(name)
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
func (r *run) newest(f *flow) bool {
	return !slices.ContainsFunc(r.flows, func(o *flow) bool { return o.id > f.id && o.address() == f.address() })
}

// lookForeign notes the state of both ends of every connection, final says that it is the last time.
func (r *run) lookForeign(last bool) {
	if !r.plan.ExternalClient() && !r.plan.ExternalServer() {
		return
	}
	r.adopt()
	for _, f := range r.flows {
		for _, l := range r.foreignEnds(f) {
			r.mu.Lock()
			if last {
				state := peer.SocketState{State: l.State.String(), Retransmits: l.Timer.Retransmits}
				if l.Info != nil {
					state.Unacked = l.Info.Unacked
				}
				r.ev.Last = append(r.ev.Last, evidence.LastState{Flow: f.id, Side: l.Side, At: l.At, SocketState: state, Timer: l.Timer.Kind.String()})
			} else {
				r.ev.Samples = append(r.ev.Samples, l)
				r.live(func() evidence.Observation { return r.ev.SocketObservation(&l) })
			}
			r.mu.Unlock()
		}
	}
}

// stopPrograms ends them side by side and notes how each ended.
func (r *run) stopPrograms() {
	all := r.programs()
	exits := make([]program.Exit, len(all))
	var wait sync.WaitGroup
	for i, p := range all {
		wait.Go(func() { exits[i] = p.Program.Stop() })
	}
	wait.Wait()
	for i, p := range all {
		r.ev.Programs = append(r.ev.Programs, evidence.Ran{Side: p.side, At: p.Name(), Command: p.Command(), Exit: exits[i]})
	}
}

// keptAlive tells whether the programs would renew the entries before these are as old as they are to be made: with a
// keepalive probe, or by what they say to each other of their own accord. Then the entries are left alone. A probe that
// would come after the entry has expired, but within the time that is to pass, cannot be replayed.
func (r *run) keptAlive(by time.Duration) (bool, error) {
	if !r.plan.ExternalClient() && !r.plan.ExternalServer() {
		return false, nil
	}
	for _, f := range r.flows {
		left, err := r.longestEntry([]*flow{f})
		if err != nil {
			return false, err
		}
		if left < 0 {
			continue
		}
		if r.spoke(f) {
			return true, r.keep(r.ev.ClientAt, "the entry does not expire: the programs spoke while the connection was idle, and each word renews it")
		}
		for _, end := range r.foreignEnds(f) {
			due := end.Timer.Expires
			switch {
			case end.Timer.Kind != socket.Keepalive || due >= by:
			case due < left:
				return true, r.keep(end.At, fmt.Sprintf("the entry does not expire: the next keepalive probe of the %s's program comes in %s and renews it, with %s left to it",
					end.Side, due.Round(time.Second), left.Round(time.Second)))
			case by > r.plan.Conntrack.Established:
				return false, fmt.Errorf("ageing by %s would lie: the keepalive of the %s's program sends a probe in %s, after the entry has expired",
					by, end.Side, due.Round(time.Second))
			}
		}
	}
	return false, nil
}

// keep notes why the entries are not aged.
func (r *run) keep(at, text string) error {
	r.note(at, "kept", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Kept, r.ev.KeptAt = text, time.Now()
	return nil
}

// spoke tells whether anything but acknowledgements went over a connection since it was first idle.
func (r *run) spoke(f *flow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.idleSince.IsZero() && slices.ContainsFunc(r.ev.Packets, func(p packet.Packet) bool {
		return p.At == r.ev.ClientAt && p.Payload > 0 && p.Time.After(r.idleSince) && r.index.Packet(&p) == f.id
	})
}

// serverNumber is the place of a server pod among all, -1 for any other name.
func (r *run) serverNumber(name string) int {
	return slices.IndexFunc(r.plan.Servers, func(e scenario.End) bool { return e.At == name })
}
