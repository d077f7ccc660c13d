package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/topology"
)

// watcher is a source of observations.
type watcher interface {
	// Drain returns when everything that happened before the call has been noted.
	Drain() error
	Close() error
}

// recorder takes down what is seen. Watchers' goroutines do too: everything in it is under mu.
type recorder struct {
	// observe is given each observation as it is made, nil if nobody wants it.
	observe func(evidence.Observation)

	mu sync.Mutex
	ev evidence.Evidence
	// over is true once nothing more is evidence.
	over bool
	// lack is what ctsim itself ran out of, which is no fact about a connection: the run ends with it.
	lack error
	// received is the number of the last message that arrived at a server, owed how many answers of UDP servers have not
	// come back to the client, by connection.
	received, owed map[int]int
	// picks are the backends that the entries of a client socket led to.
	picks map[netip.AddrPort][]pick
	// begun is the sequence number of the last SYN from each address of the client's program.
	begun map[netip.AddrPort]uint32
	// index is for live observations, which cannot wait until all is known.
	index evidence.Index
	// streams are those of live observations: what these say of packets counts from the beginning of their streams.
	streams packet.Flows
}

// newRecorder has seen nothing yet, of the world given.
func newRecorder(about evidence.World, observe func(evidence.Observation)) recorder {
	// Round takes the monotonic reading off: the kernel's times have none, and all must be counted on one clock.
	return recorder{observe: observe, received: map[int]int{}, owed: map[int]int{}, picks: map[netip.AddrPort][]pick{},
		begun: map[netip.AddrPort]uint32{}, index: evidence.Index{},
		ev: evidence.Evidence{Started: time.Now().Round(0), World: about, Ours: map[uint32]bool{}, Deleted: map[uint32]bool{},
			Unwatched: map[evidence.Source]bool{}, Rules: map[string][]dataplane.Counter{}, Lost: map[string]int{}}}
}

// missing notes what cannot be observed, once, and that the source is silent.
func (r *recorder) missing(source evidence.Source, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Unwatched[source] = true
	if !slices.Contains(r.ev.Missing, text) {
		r.ev.Missing = append(r.ev.Missing, text)
	}
}

// conntrackWatcher notes what it lost when it closes.
type conntrackWatcher struct {
	*conntrack.Listener
	recorder *recorder
}

func (w conntrackWatcher) Close() error {
	err := w.Listener.Close()
	w.recorder.mu.Lock()
	w.recorder.ev.Lost[string(evidence.FromConntrack)] += w.Lost()
	w.recorder.mu.Unlock()
	return err
}

// unwatch closes the watchers side by side: closing a packet socket waits for the kernel's grace period.
func (w *world) unwatch() error {
	errs := make([]error, len(w.watchers))
	var wait sync.WaitGroup
	for i, one := range w.watchers {
		wait.Go(func() { errs[i] = one.Close() })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// drain is the barrier between a step and the next: after it, every event and packet of the step is in the evidence.
func (w *world) drain() error {
	for _, one := range w.watchers {
		if err := one.Drain(); err != nil {
			return err
		}
	}
	return nil
}

// event notes a conntrack event, and the backend that a new entry leads to.
func (r *recorder) event(node string, e conntrack.Event) {
	ev := evidence.EntryEvent{Node: node, Event: e}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Events = append(r.ev.Events, ev)
	if e.Type == conntrack.New && r.ev.Pick(&ev) != "" {
		r.picks[e.Original.Src] = append(r.picks[e.Original.Src], pick{e.Time, e.Reply.Src.Addr()})
	}
	r.live(func() evidence.Observation { return r.ev.ConntrackObservation(&ev, r.index.Event(&ev)) })
}

// pick is the backend that a new entry leads to, and when it was made.
type pick struct {
	at      time.Time
	backend netip.Addr
}

// picksOf are the backends that a connection was translated to, in order; mu is held. An earlier connection from the same
// port has had others.
func (r *run) picksOf(f *flow) []netip.Addr {
	var out []netip.Addr
	for _, p := range r.picks[f.address()] {
		if !p.at.Before(f.since) {
			out = append(out, p.backend)
		}
	}
	return out
}

// report notes what an application met.
func (r *recorder) report(p peer.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if lacks(p.Err) {
		r.lack = p.Err
		return
	}
	if p.Side == peer.Server && p.Call == peer.Recv {
		if id, number, ok := peer.ParseMessage(p.Data); ok {
			r.received[id] = max(r.received[id], number)
			r.owed[id]++
		}
	}
	r.ev.Reports = append(r.ev.Reports, p)
	r.live(func() evidence.Observation { return r.ev.ApplicationObservation(&p, r.index.Report(&p)) })
}

// packet notes a captured packet, and the connection that it begins.
func (r *recorder) packet(p packet.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Packets = append(r.ev.Packets, p)
	r.discover(p)
	if p.Protocol == packet.UDP && p.At == r.ev.ClientAt && p.Direction == packet.In {
		r.owed[r.index.Packet(&p)]--
	}
	r.live(func() evidence.Observation {
		p = r.streams.Follow(p)
		return r.ev.PacketObservation(&p, r.index.Packet(&p))
	})
}

// note takes down something that was done at a place: a step, or what belongs to one.
func (r *recorder) note(at, kind, text string) {
	r.deed(evidence.Deed{Time: time.Now(), At: at, Kind: kind, Text: text})
}

func (r *recorder) deed(d evidence.Deed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Deeds = append(r.ev.Deeds, d)
	r.live(func() evidence.Observation { return r.ev.NewestStep() })
}

// live hands an observation on as it is made; mu is held, which gives the order. It is made only if somebody wants it.
func (r *recorder) live(observation func() evidence.Observation) {
	if r.observe != nil {
		r.observe(observation())
	}
}

// opened notes the client's address of a connection, also of one that could not be opened: its events and packets are
// part of its account.
func (r *recorder) opened(f evidence.FlowFacts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Flows = append(r.ev.Flows, f)
	r.index.Add(f.Local, f)
}

// flushed and deleted note under which port ids ctsim itself has destroyed entries.
func (r *recorder) flushed(port uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Ours[port] = true
}

func (r *recorder) deleted(port uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Deleted[port] = true
}

// deleteEntry takes one entry out of a node's table; one that is gone already is no error.
func (r *run) deleteEntry(ns *topology.Namespace, e conntrack.Entry) error {
	port, err := conntrack.Delete(ns, e)
	if errors.Is(err, conntrack.ErrNotFound) {
		return nil
	}
	r.deleted(port)
	return err
}

// unmet notes the fact that a step has waited for in vain.
func (r *recorder) unmet(fact string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Unmet = fact
}

// arrived tells whether the last message of a connection has arrived at a server, and with UDP its answer at the client,
// if packets are watched.
func (r *run) arrived(f *flow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received[f.id] >= f.sent && (!r.plan.UDP() || r.capture == nil || r.owed[f.id] <= 0)
}

// notRerouted are the connections whose entry still leads to the backend of their first. One that is over is none of
// them: nothing will re-route it any more.
func (r *run) notRerouted(flows []*flow) []*flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*flow
	for _, f := range flows {
		if !f.address().IsValid() || f.done {
			continue
		}
		if f.conn != nil {
			if state, err := f.conn.State(); err != nil || state.Closed() {
				continue
			}
		}
		picks := r.picksOf(f)
		if len(picks) == 0 || picks[len(picks)-1] == picks[0] {
			out = append(out, f)
		}
	}
	return out
}

// listen subscribes to the conntrack events of a node.
func (x *watching) listen(ns *topology.Namespace) error {
	l, err := conntrack.Listen(ns, func(e conntrack.Event) { x.event(ns.Name(), e) })
	if err != nil {
		return fmt.Errorf("conntrack events of %s: %w", ns.Name(), err)
	}
	x.watchers = append(x.watchers, conntrackWatcher{l, &x.recorder})
	return nil
}

// captureWatcher notes what it dropped when it closes.
type captureWatcher struct {
	*packet.Capture
	recorder *recorder
}

func (w captureWatcher) Close() error {
	err := w.Capture.Close()
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	dropped, lostErr := w.Dropped()
	w.recorder.ev.Hops, _ = w.Hops() // Dropped has the same error
	for _, n := range dropped {
		w.recorder.ev.Lost[string(evidence.FromPackets)] += n
	}
	return errors.Join(err, lostErr)
}

// watching is what sees a run from its beginning, whatever its rules and programs are.
type watching struct {
	*world
	// capture is nil if packets are not watched, kernel if its tracepoints are not.
	capture *packet.Capture
	kernel  *kernelWatcher
}

// watch starts every source before the first packet: a listener that comes later would see nothing of the flows that
// are there already.
func (x *watching) watch(context.Context) error {
	for _, source := range evidence.Sources {
		if !x.options.watches(source) {
			x.missing(source, notAskedFor(source, x.plan))
		}
	}
	if !x.plan.Followed() {
		x.missing(evidence.FromRules, fmt.Sprintf("the rules that single packets met, and sockets after each step: followed with up to %d connections", scenario.MaxFollowed))
	}
	if x.options.watches(evidence.FromConntrack) {
		x.ev.Lost[string(evidence.FromConntrack)] = 0
		for _, node := range x.plan.NodeNames() {
			if err := x.listen(x.lab.Namespace(node)); err != nil {
				return err
			}
		}
	}
	if !x.options.watches(evidence.FromPackets) {
		return nil
	}
	x.ev.Lost[string(evidence.FromPackets)] = 0
	x.capture = packet.NewCapture(x.packet)
	x.watchers = append(x.watchers, captureWatcher{x.capture, &x.recorder})
	for _, name := range x.lab.Names() {
		if err := x.captureAt(name); err != nil {
			return err
		}
	}
	return nil
}

// captureAt adds a pod or node to the capture.
func (x *watching) captureAt(name string) error {
	if x.capture == nil || x.lab.Namespace(name) == nil || name == topology.SwitchName {
		return nil // a switch has ports, no address
	}
	return x.capture.Add(x.lab.Namespace(name), topology.Uplink)
}

// notAskedFor says that a source is not watched, and which outcomes cannot be told without it.
func notAskedFor(source evidence.Source, p *scenario.Plan) string {
	programs := account.OwnTCP
	switch {
	case p.ExternalClient() || p.ExternalServer():
		programs = account.External
	case p.UDP():
		programs = account.OwnUDP
	}
	possible := account.PossibleWithout(source, programs)
	var lost []string
	for _, o := range account.PossibleWithout("", programs) {
		if !slices.Contains(possible, o) {
			lost = append(lost, string(o))
		}
	}
	if len(lost) == 0 {
		return string(source) + ": not asked for"
	}
	return string(source) + ": not asked for; without it these outcomes cannot be told: " + strings.Join(lost, ", ")
}
