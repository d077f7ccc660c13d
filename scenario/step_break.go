package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/probe/conntrack"
)

// flushStep empties the conntrack table of one node or of both.
type flushStep struct {
	On string `yaml:"on" short:"yes" pattern:"^(all|master|node[1-4])$" default:"all" doc:"Whose table: master is the client's node, the one that translates."`
}

func (s *flushStep) describe() string {
	if s.On == "all" {
		return "flush the conntrack table of every node"
	}
	return "flush the conntrack table of " + s.On
}

func (s *flushStep) check(sc Scenario) string {
	if s.On == "all" {
		return ""
	}
	return wrongNode(sc, s.On)
}

// wrongNode says that there is no node of that name; empty if there is.
func wrongNode(sc Scenario, name string) string {
	if slices.Contains(sc.nodeNames(), name) {
		return ""
	}
	return fmt.Sprintf("%q is no node of this world, want one of %s", name, strings.Join(sc.nodeNames(), ", "))
}

func (s *flushStep) run(_ context.Context, r *run, _ []*flow) error {
	nodes := r.scenario.nodeNames()
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

// waitStep lets real time pass, or waits until the entries of the connections are gone from the translating node.
type waitStep struct {
	For    time.Duration `yaml:"for" short:"yes" min:"1ms" max:"1000h" doc:"How long; at most one hour of this run's own time."`
	Until  string        `yaml:"until" enum:"entry-gone,client-closed,server-closed" doc:"A fact to wait for: the conntrack entry has expired; the client's or the server's socket is closed by the kernel."`
	Packet *PacketCheck  `yaml:"packet" doc:"A packet to wait for, on every connection."`
	AtMost time.Duration `yaml:"at_most" min:"1s" max:"1h" default:"10m" doc:"With until or packet: give up after this."`
}

func (s *waitStep) describe() string {
	if s.Packet != nil {
		return "wait for a packet: " + s.Packet.describe()
	}
	switch s.Until {
	case "entry-gone":
		return "wait until the conntrack entry on " + translating + " has expired"
	case "":
		return "wait " + s.For.String()
	}
	return "wait until the " + strings.TrimSuffix(s.Until, "-closed") + "'s socket is closed by the kernel"
}

func (s *waitStep) check(sc Scenario) string {
	switch {
	case btoi(s.For != 0)+btoi(s.Until != "")+btoi(s.Packet != nil) != 1:
		return "want one of a duration, until and packet"
	case s.Packet != nil && s.Packet.Never:
		return "never cannot be waited for"
	case sc.here(s.For, time.Millisecond) > time.Hour:
		return fmt.Sprintf("%s is too long to wait; use age, or a larger time_scale", s.For)
	case s.Until == "entry-gone" && s.limit() < sc.here(sc.World.Conntrack.Established, time.Second) &&
		s.limit() < sc.here(sc.World.Conntrack.CloseWait, time.Second):
		return fmt.Sprintf("the entry lives %s (world.conntrack.established), longer than at_most %s",
			sc.both(sc.World.Conntrack.Established, time.Second), s.limit())
	}
	return ""
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *waitStep) limit() time.Duration {
	if s.AtMost == 0 {
		return 10 * time.Minute
	}
	return s.AtMost
}

func (s *waitStep) run(ctx context.Context, r *run, active []*flow) error {
	if s.Packet != nil {
		strictyaml.SetDefaults(s.Packet)
		return s.seen(ctx, r, active)
	}
	if s.Until == "" {
		return errors.Join(r.pause(ctx, r.scenario.here(s.For, time.Millisecond), s.describe()), r.drain())
	}
	if s.Until != "entry-gone" {
		return s.closed(ctx, r, active)
	}
	give := time.Now().Add(s.limit())
	for {
		// Reading the table also makes the kernel destroy what has expired, with its event: left alone, that
		// comes up to a minute late.
		left, err := r.longestEntry(active)
		if err != nil {
			return err
		}
		if left < 0 {
			return r.drain()
		}
		if time.Now().After(give) {
			r.unmet("the conntrack entry did not expire within " + s.limit().String())
			return r.drain()
		}
		if err := r.pause(ctx, max(left, 20*time.Millisecond), s.describe()); err != nil {
			return err
		}
	}
}

// closed waits until the kernel has closed a side's socket of every connection: by a RST, or after a timeout.
func (s *waitStep) closed(ctx context.Context, r *run, active []*flow) error {
	give := time.Now().Add(s.limit())
	for _, f := range active {
		for {
			conn := r.end(f, strings.TrimSuffix(s.Until, "-closed"))
			if conn == nil {
				break
			}
			if state, err := conn.State(); err != nil || state.Closed() {
				if conn.Over() != nil {
					<-conn.Over() // the kernel has told; the program is about to
				}
				break
			}
			if time.Now().After(give) {
				r.unmet("the socket was not closed within " + s.limit().String())
				return r.drain()
			}
			if err := r.pause(ctx, 5*time.Millisecond, s.describe()); err != nil {
				return err
			}
		}
	}
	return r.drain()
}

// longestEntry is the time left to the entry of the connections that lives longest, negative if there is none.
func (r *run) longestEntry(active []*flow) (time.Duration, error) {
	entries, err := conntrack.List(r.lab.Namespace(translating))
	if err != nil {
		return 0, fmt.Errorf("read the conntrack table of %s: %w", translating, err)
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

// repeatStep does its steps again and again: a number of times, or until a fact holds for every connection. A
// connection for which it holds is left out of the following rounds.
type repeatStep struct {
	Until  string `yaml:"until" enum:"rerouted" doc:"A fact: rerouted, the connection's entry leads to another backend than its first."`
	Times  int    `yaml:"times" min:"1" max:"1000" doc:"How often."`
	AtMost int    `yaml:"at_most" min:"1" max:"1000" default:"64" doc:"With until: give up after this many rounds."`
	Steps  Steps  `yaml:"steps,required" doc:"What to repeat."`
}

func (s *repeatStep) describe() string {
	if s.Until != "" {
		return "repeat until the flow is re-routed to another backend"
	}
	return fmt.Sprintf("repeat %d times", s.Times)
}

func (s *repeatStep) check(sc Scenario) string {
	switch {
	case (s.Times == 0) == (s.Until == ""):
		return "want either times or until"
	case len(s.Steps) == 0:
		return "nothing to repeat"
	case s.Until == "rerouted" && sc.World.Backends == 1:
		return "one backend can never become another: a flow cannot be re-routed; want 2 backends or more"
	}
	return ""
}

// rounds is how often it is repeated at most.
func (s *repeatStep) rounds() int {
	if s.Until != "" {
		return max(s.AtMost, 1)
	}
	return s.Times
}

func (s *repeatStep) run(ctx context.Context, r *run, active []*flow) error {
	rounds := s.rounds()
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
			times(len(r.flows), "connection was", "connections were"), times(rounds, "round", "rounds")))
	}
	return nil
}
