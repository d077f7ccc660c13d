package replay

import (
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"

	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/topology"
)

// watcher is a source of observations.
type watcher interface {
	// Drain returns when everything that happened before the call has been noted.
	Drain() error
	Close() error
}

// missing notes what cannot be observed, once, and that the source is silent.
func (r *run) missing(source evidence.Source, text string) {
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
	run *run
}

func (w conntrackWatcher) Close() error {
	err := w.Listener.Close()
	w.run.mu.Lock()
	w.run.ev.Lost[string(evidence.FromConntrack)] += w.Lost()
	w.run.mu.Unlock()
	return err
}

// unwatch closes the watchers side by side: closing a packet socket waits for the kernel's grace period.
func (r *run) unwatch() error {
	errs := make([]error, len(r.watchers))
	var wait sync.WaitGroup
	for i, w := range r.watchers {
		wait.Go(func() { errs[i] = w.Close() })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// drain is the barrier between a step and the next: after it, every event and packet of the step is in the evidence.
func (r *run) drain() error {
	for _, w := range r.watchers {
		if err := w.Drain(); err != nil {
			return err
		}
	}
	return nil
}

// event notes a conntrack event, and the backend that a new entry leads to.
func (r *run) event(node string, e conntrack.Event) {
	ev := evidence.EntryEvent{Node: node, Event: e}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Events = append(r.ev.Events, ev)
	if e.Type == conntrack.New && r.ev.Pick(&ev) != "" {
		r.picks[e.Original.Src] = append(r.picks[e.Original.Src], e.Reply.Src.Addr())
	}
	r.live(func() evidence.Observation { return r.ev.ConntrackObservation(&ev, r.index.Event(&ev)) })
}

// report notes what an application met.
func (r *run) report(p peer.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if p.Side == peer.Server && p.Call == peer.Recv {
		if id, number, ok := peer.ParseMessage(p.Data); ok {
			r.received[id] = max(r.received[id], number)
		}
	}
	r.ev.Reports = append(r.ev.Reports, p)
	r.live(func() evidence.Observation { return r.ev.ApplicationObservation(&p, r.index.Report(&p)) })
}

func (r *run) packet(p packet.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Packets = append(r.ev.Packets, p)
	r.discover(p)
	r.live(func() evidence.Observation {
		p = r.streams.Follow(p)
		return r.ev.PacketObservation(&p, r.index.Packet(&p))
	})
}

func (r *run) note(at, kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Deeds = append(r.ev.Deeds, evidence.Deed{Time: time.Now(), At: at, Kind: kind, Text: text})
	r.live(func() evidence.Observation { return r.ev.NewestStep() })
}

// live hands an observation on as it is made; mu is held, which gives the order. It is made only if somebody wants it.
func (r *run) live(observation func() evidence.Observation) {
	if r.options.Observe != nil {
		r.options.Observe(observation())
	}
}

// opened notes the client's address of a connection, also of one that could not be opened: its events and packets are
// part of its story.
func (r *run) opened(f evidence.FlowFacts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Flows = append(r.ev.Flows, f)
	r.index.Add(f.Local, f)
}

// flushed and deleted note under which port ids ctsim itself has destroyed entries.
func (r *run) flushed(port uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Ours[port] = true
}

func (r *run) deleted(port uint32) {
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

func (r *run) unmet(fact string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.Unmet = fact
}

func (r *run) arrived(f *flow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received[f.id] >= f.sent
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
		picks := r.picks[f.address()]
		if len(picks) == 0 || picks[len(picks)-1] == picks[0] {
			out = append(out, f)
		}
	}
	return out
}

// listen subscribes to the conntrack events of a node.
func (r *run) listen(ns *topology.Namespace) error {
	l, err := conntrack.Listen(ns, func(e conntrack.Event) { r.event(ns.Name(), e) })
	if err != nil {
		return fmt.Errorf("conntrack events of %s: %w", ns.Name(), err)
	}
	r.watchers = append(r.watchers, conntrackWatcher{l, r})
	return nil
}

// captureWatcher notes what it dropped when it closes.
type captureWatcher struct {
	*packet.Capture
	run *run
}

func (w captureWatcher) Close() error {
	err := w.Capture.Close()
	w.run.mu.Lock()
	defer w.run.mu.Unlock()
	dropped, lostErr := w.Dropped()
	w.run.ev.Hops, _ = w.Hops() // Dropped has the same error
	for _, n := range dropped {
		w.run.ev.Lost[string(evidence.FromPackets)] += n
	}
	return errors.Join(err, lostErr)
}

// watch starts every source before the first packet: a listener that comes later would see nothing of the flows that
// are there already.
func (r *run) watch(context.Context) error {
	for _, source := range evidence.Sources {
		if !r.options.watches(source) {
			r.missing(source, string(source)+": not asked for")
		}
	}
	if !r.plan.Followed() {
		r.missing(evidence.FromRules, fmt.Sprintf("the rules that single packets met, and sockets after each step: followed with up to %d connections", scenario.Few))
	}
	if r.options.watches(evidence.FromConntrack) {
		r.ev.Lost[string(evidence.FromConntrack)] = 0
		for _, node := range r.plan.NodeNames() {
			if err := r.listen(r.lab.Namespace(node)); err != nil {
				return err
			}
		}
	}
	if !r.options.watches(evidence.FromPackets) {
		return nil
	}
	r.ev.Lost[string(evidence.FromPackets)] = 0
	r.capture = packet.NewCapture(r.packet)
	r.watchers = append(r.watchers, captureWatcher{r.capture, r})
	for _, name := range r.lab.Names() {
		if err := r.captureAt(name); err != nil {
			return err
		}
	}
	return nil
}

// captureAt adds a pod or node to the capture.
func (r *run) captureAt(name string) error {
	if r.capture == nil || r.lab.Namespace(name) == nil || name == "switch" {
		return nil // a switch has ports, no address
	}
	return r.capture.Add(r.lab.Namespace(name), topology.Uplink)
}
