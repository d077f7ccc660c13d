package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// endKey is a socket by its place and addresses.
type endKey struct {
	at            string
	local, remote netip.AddrPort
}

// readEnds notes the last state of both ends of every connection, however many: one dump of the kernel's table in each
// place (`ss -tani`), and of what is in no table any more what the descriptors of ctsim's own programs say, with the error
// that their next call would get. A socket in a pod that is gone is none.
func (r *run) readEnds() error {
	var last []evidence.LastState
	pending := map[*peer.Conn]error{}
	for range rereads {
		tables, err := r.tables()
		if err != nil {
			return err
		}
		var moved bool
		if last, moved = r.lastOf(tables, pending); !moved {
			break
		}
	}
	slices.SortStableFunc(last, func(a, b evidence.LastState) int {
		return cmp.Or(cmp.Compare(a.Flow, b.Flow), cmp.Compare(a.Side, b.Side))
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Last, r.ev.EndsRead = last, true
	return nil
}

// rereads is how often the tables are read if a socket has closed since: its entry there is no other's then. It is another
// connection's of the same addresses if it stays.
const rereads = 3

// lastOf are the last states with what the tables say; moved is true if a socket that they have has closed since they were
// read. Pending keeps the errors that waited in the sockets: reading takes them away.
func (r *run) lastOf(tables map[endKey]socket.Socket, pending map[*peer.Conn]error) (last []evidence.LastState, moved bool) {
	for _, f := range r.flows {
		for _, c := range r.ends(f) {
			l, ok := r.held(f, c, tables)
			if !ok {
				continue
			}
			if pending[c] == nil {
				pending[c] = c.PendingError()
			}
			l.Pending = pending[c]
			last = append(last, l)
			_, there := tables[endKey{c.At(), c.Local(), c.Remote()}]
			moved = moved || there && l.Closed()
		}
	}
	return append(last, r.others(tables)...), moved
}

// settling is how long what was sent last may be on its way at the end of a run: longer than the kernel delays an
// acknowledgement (TCP_DELACK_MAX, 200 ms) and than it waits before it sends again (TCP_RTO_MIN, 200 ms, and the round
// trip).
const settling = 400 * time.Millisecond

// awaitAcks waits until nothing that either end has sent, a FIN too, is still on its way: it is acknowledged, or was sent
// again, and so is lost.
func (r *run) awaitAcks(ctx context.Context) {
	for deadline := time.Now().Add(settling); r.onItsWay() && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return // the run ends with what is known
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// onItsWay tells whether a socket has sent what is not acknowledged, or has yet to send it, and has not tried again.
func (r *run) onItsWay() bool {
	if r.plan.ExternalClient() || r.plan.ExternalServer() {
		r.adopt()
		for _, f := range r.flows {
			if slices.ContainsFunc(r.externalSamples(f), unsettled) {
				return true
			}
		}
	}
	for _, f := range r.flows {
		for _, c := range r.ends(f) {
			s, err := c.State()
			if err != nil || s.State == "SYN_SENT" || s.Closed() {
				continue
			}
			if s.Unacked > 0 && s.Retransmits == 0 || s.Waits() && !s.Withheld() {
				return true
			}
		}
	}
	return false
}

// unsettled is onItsWay for the socket of a program, or for one that its program has closed.
func unsettled(s evidence.SocketSample) bool {
	switch s.State {
	case socket.SynSent:
		return false
	case socket.FinWait1, socket.LastAck, socket.Closing:
		return s.Timer.Retransmits == 0
	}
	return s.Info != nil && s.Info.Unacked > 0 && s.Timer.Retransmits == 0
}

// collect makes the kernel take what has expired out of the conntrack tables, and say so now: nobody would hear of such a
// break else. Which entries there are, their events have told; where these are not watched, nobody listens.
func (r *run) collect() error {
	if !r.options.watches(evidence.FromConntrack) {
		return nil
	}
	var g errgroup.Group
	for _, name := range r.plan.NodeNames() {
		g.Go(func() error {
			living, err := conntrack.Collect(r.lab.Namespace(name), r.alive(name))
			if err != nil {
				return fmt.Errorf("what has expired on %s: %w", name, err)
			}
			r.noteBegun(name, living)
			return nil
		})
	}
	return g.Wait()
}

// noteBegun notes when the entries of a node were made that live on: a NEW does not carry it, a look-up does.
func (r *run) noteBegun(node string, living []conntrack.Entry) {
	start := map[uint32]time.Time{}
	for _, e := range living {
		start[e.ID] = e.Start
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ev.Events {
		if ev := &r.ev.Events[i]; ev.Node == node && ev.Type == conntrack.New && !ev.KernelTime {
			ev.Start = start[ev.ID]
		}
	}
}

// alive are the entries of a node's table whose end no event has told.
func (r *run) alive(node string) []conntrack.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := map[uint32]conntrack.Entry{}
	for _, ev := range r.ev.Events {
		switch {
		case ev.Node != node:
		case ev.Type == conntrack.Destroy:
			delete(entries, ev.ID)
		default:
			entries[ev.ID] = ev.Entry
		}
	}
	return slices.Collect(maps.Values(entries))
}

// tables are the TCP sockets of every place where an end of a connection can be, but listening ones. Each dump goes through
// the hash table of the whole machine: they run side by side.
func (r *run) tables() (map[endKey]socket.Socket, error) {
	var mu sync.Mutex
	var g errgroup.Group
	out := map[endKey]socket.Socket{}
	for _, name := range r.lab.Names() {
		if name != r.ev.ClientAt && (name == topology.SwitchName || slices.Contains(r.plan.NodeNames(), name)) {
			continue
		}
		reader, err := r.reader(name)
		if err != nil {
			return nil, err
		}
		g.Go(func() error {
			all, err := reader.List()
			mu.Lock()
			defer mu.Unlock()
			for _, s := range all {
				if s.State != socket.Listening {
					out[endKey{name, unmapped(s.Local), unmapped(s.Remote)}] = s
				}
			}
			return err
		})
	}
	return out, g.Wait()
}

// held is the last state of a socket that one of ctsim's own programs holds, which it takes out of the tables; false if
// its pod is gone, or a step has closed it.
func (r *run) held(f *flow, c *peer.Conn, tables map[endKey]socket.Socket) (evidence.LastState, bool) {
	if r.lab.Namespace(c.At()) == nil {
		return evidence.LastState{}, false
	}
	state, err := c.State()
	if err != nil {
		return evidence.LastState{}, false
	}
	l := evidence.LastState{Flow: f.id, Side: f.sideOf(c), At: c.At(), SocketState: state}
	key := endKey{c.At(), c.Local(), c.Remote()}
	// One that is closed is in the tables as long as it has a port that its program asked for.
	if s, ok := tables[key]; ok && state.Closed() == (s.State == socket.Closed) {
		l.SendQueue, l.RecvQueue, l.Timer = s.SendQueue, s.RecvQueue, s.Timer.Kind.String()
		delete(tables, key)
	}
	return l, true
}

// others are the sockets that are left in the tables: those of other programs, and those that their programs have closed
// and the kernel still holds.
func (r *run) others(tables map[endKey]socket.Socket) []evidence.LastState {
	r.mu.Lock()
	ix := r.ev.Index() // with the addresses that nodes have put in the client's place
	r.mu.Unlock()
	now := time.Now()
	var out []evidence.LastState
	for key, s := range tables {
		side := peer.Server
		if key.at == r.ev.ClientAt && key.remote == r.service() {
			side = peer.Client
		}
		id := ix.Of(now, key.local, key.remote)
		if id == 0 || side == peer.Server && slices.Contains(r.plan.NodeNames(), key.at) {
			continue
		}
		l := evidence.LastState{Flow: id, Side: side, At: key.at, SendQueue: s.SendQueue, RecvQueue: s.RecvQueue,
			Left: s.Inode == 0, Timer: s.Timer.Kind.String()}
		l.State, l.Retransmits = s.State.String(), s.Timer.Retransmits
		if s.Info != nil {
			l.Unacked, l.BytesAcked, l.BytesReceived = s.Info.Unacked, s.Info.BytesAcked, s.Info.BytesReceived
			l.NotSent, l.Window, l.Probes = int(s.Info.NotSent), s.Info.Window, s.Timer.Probes
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b evidence.LastState) int { return cmp.Compare(a.At, b.At) })
	return out
}
