package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario"
)

func (r *run) flush(_ context.Context, s *scenario.Flush, _ []*flow) error {
	nodes := r.plan.NodeNames()
	if s.On != "all" {
		nodes = []string{s.On}
	}
	for _, node := range nodes {
		port, err := conntrack.Flush(r.lab.Namespace(node))
		if err != nil {
			return fmt.Errorf("flush on %s: %w", node, err)
		}
		r.flushed(port)
	}
	return r.drain()
}

func (r *run) wait(ctx context.Context, s *scenario.Wait, text string, active []*flow) error {
	if s.Packet != nil {
		return r.untilSeen(ctx, s, text, active)
	}
	if s.Until == "" {
		return errors.Join(r.pause(ctx, s.For, text), r.drain())
	}
	if s.Until != "entry-gone" {
		return r.untilClosed(ctx, s, text, active)
	}
	give := time.Now().Add(s.AtMost)
	r.mu.Lock()
	from := len(r.ev.Events)
	r.mu.Unlock()
	for {
		// Reading the table also makes the kernel destroy what has expired, with its event: left alone, that
		// comes up to a minute late.
		left, err := r.longestEntry(active)
		if err == nil {
			err = r.drain()
		}
		if err != nil {
			return err
		}
		if left < 0 || r.haveExpired(from, active) {
			return nil
		}
		if time.Now().After(give) {
			r.unmet("the conntrack entry did not expire within " + s.AtMost.String())
			return r.drain()
		}
		// Not for all that is left: what is sent meanwhile may give it another time, and a new entry may take its place.
		if err := r.pause(ctx, min(max(left, 20*time.Millisecond), 500*time.Millisecond), text); err != nil {
			return err
		}
	}
}

// haveExpired tells whether an entry of each connection has expired among the events from a number on: one that is sent
// on again and again has a new one at once.
func (r *run) haveExpired(from int, active []*flow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	expired := map[netip.AddrPort]bool{}
	for _, ev := range r.ev.Events[from:] {
		if ev.Node == r.plan.Translates && ev.DestroyedBy() == conntrack.Expired {
			expired[ev.Original.Src], expired[ev.Original.Dst] = true, true
		}
	}
	return !slices.ContainsFunc(active, func(f *flow) bool { return f.address().IsValid() && !expired[f.address()] })
}

// untilClosed waits until the kernel has closed a side's socket of every connection: by a RST, or after a timeout.
func (r *run) untilClosed(ctx context.Context, s *scenario.Wait, text string, active []*flow) error {
	give := time.Now().Add(s.AtMost)
	for _, f := range active {
		for {
			conn := r.end(f, strings.TrimSuffix(s.Until, "-closed"))
			if conn == nil {
				break
			}
			if state, err := conn.State(); err != nil || state.Closed() {
				if conn.Over() != nil {
					select {
					case <-conn.Over(): // the kernel has told; the program is about to
					case <-time.After(s.AtMost):
						r.unmet("the program did not notice within " + s.AtMost.String() + " that its socket is closed")
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				break
			}
			if time.Now().After(give) {
				r.unmet("the socket was not closed within " + s.AtMost.String())
				return r.drain()
			}
			if err := r.pause(ctx, 5*time.Millisecond, text); err != nil {
				return err
			}
		}
	}
	return r.drain()
}

// longestEntry is the time left to the entry of the connections that lives longest, negative if there is none.
func (w *world) longestEntry(active []*flow) (time.Duration, error) {
	entries, err := conntrack.List(w.lab.Namespace(w.plan.Translates))
	if err != nil {
		return 0, fmt.Errorf("read the conntrack table of %s: %w", w.plan.Translates, err)
	}
	mine := map[string]bool{}
	for _, f := range active {
		if f.address().IsValid() {
			mine[f.address().String()] = true
		}
	}
	left := time.Duration(-1)
	for _, e := range entries {
		if mine[e.Original.Src.String()] || mine[e.Original.Dst.String()] {
			left = max(left, e.Timeout)
		}
	}
	return left, nil
}

func (r *run) repeat(ctx context.Context, s *scenario.Repeat, active []*flow) error {
	rounds := s.Rounds()
	number := r.pausing.number
	r.pausing.rounds = append(r.pausing.rounds, 0)
	defer func() { r.pausing.number, r.pausing.rounds = number, r.pausing.rounds[:len(r.pausing.rounds)-1] }()
	for round := range rounds {
		for i, step := range s.Steps {
			r.pausing.number = append(slices.Clone(number), i+1)
			r.pausing.rounds[len(r.pausing.rounds)-1] = round + 1
			if err := r.step(ctx, step, active); err != nil {
				return err
			}
		}
		if s.Until != "" {
			if active = r.notRerouted(active); len(active) == 0 {
				return nil
			}
		}
	}
	if s.Until != "" {
		r.unmet(fmt.Sprintf("%d of %s not re-routed in %s", len(active),
			account.Count(len(r.flows), "connection was", "connections were"), account.Count(rounds, "round", "rounds")))
	}
	return nil
}
