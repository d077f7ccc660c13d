package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ctsim/ctsim/probe"
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

// conntrackWatcher notes what it lost when it closes.
type conntrackWatcher struct {
	*conntrack.Listener
	run *run
}

func (w conntrackWatcher) Close() error {
	err := w.Listener.Close()
	w.run.mu.Lock()
	w.run.ev.lost["conntrack"] += w.Lost()
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
	ev := nodeEvent{node, e}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.events = append(r.ev.events, ev)
	if e.Type == conntrack.New && r.ev.pick(ev) != "" {
		r.picks[e.Original.Src] = append(r.picks[e.Original.Src], e.Reply.Src.Addr())
	}
	r.live(r.ev.conntrackObservation(ev, r.index.event(ev)))
}

// report notes what an application met.
func (r *run) report(p probe.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if p.Side == probe.Server && p.Call == probe.Recv {
		if id, number, ok := probe.ParseMessage(p.Data); ok {
			r.received[id] = max(r.received[id], number)
		}
	}
	r.ev.reports = append(r.ev.reports, p)
	r.live(r.ev.applicationObservation(p, r.index.report(p)))
}

func (r *run) packet(p packet.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.packets = append(r.ev.packets, p)
	r.live(r.ev.packetObservation(p, r.index.packet(p)))
}

func (r *run) note(at, kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := note{time: time.Now(), at: at, kind: kind, text: text}
	r.ev.notes = append(r.ev.notes, n)
	r.live(r.ev.stepObservation(n))
}

// live hands an observation on as it is made; mu is held, which gives the order.
func (r *run) live(o Observation) {
	if r.options.Observe != nil {
		r.options.Observe(o)
	}
}

// opened notes the client's address of a connection, also of one that could not be opened: its events and packets are
// part of its story.
func (r *run) opened(f flowFacts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.flows = append(r.ev.flows, f)
	r.index.add(f.local, f)
}

func (r *run) destroyer(port uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.ours[port] = true
}

func (r *run) unmet(fact string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ev.unmet = fact
}

func (r *run) arrived(f *flow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received[f.id] >= f.sent
}

// notRerouted are the connections whose entry still leads to the backend of their first.
func (r *run) notRerouted(flows []*flow) []*flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*flow
	for _, f := range flows {
		if f.conn == nil {
			continue
		}
		picks := r.picks[f.conn.Local()]
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
	for _, n := range dropped {
		w.run.ev.lost["packet"] += n
	}
	return errors.Join(err, lostErr)
}

// watch starts every source before the first packet: a listener that comes later would see nothing of the flows that
// are there already.
func (r *run) watch(context.Context) error {
	r.ev.lost["conntrack"], r.ev.lost["packet"] = 0, 0
	for _, node := range r.scenario.nodeNames() {
		if err := r.listen(r.lab.Namespace(node)); err != nil {
			return err
		}
	}
	c := packet.NewCapture(r.packet)
	r.capture = c
	r.watchers = append(r.watchers, captureWatcher{c, r})
	for _, name := range r.lab.Names() {
		if r.lab.Namespace(name) == nil || name == "switch" {
			continue // it has ports, no address
		}
		if err := c.Add(r.lab.Namespace(name), topology.Uplink); err != nil {
			return err
		}
	}
	return nil
}
