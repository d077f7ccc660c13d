package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
)

// closeStep closes one side's socket for good.
type closeStep struct {
	From string `yaml:"from,required" short:"yes" enum:"client,server" doc:"The side that closes."`
}

func (s *closeStep) describe() string      { return "the " + s.From + " closes its socket" }
func (s *closeStep) check(Scenario) string { return "" }

func (s *closeStep) run(_ context.Context, r *run, active []*flow) error {
	for _, f := range active {
		conn := r.end(f, s.From)
		if conn != nil {
			_ = conn.Close() // reported
		}
	}
	return r.drain()
}

// receiveStep reads one message on the client's side of every connection.
type receiveStep struct {
	AtMost time.Duration `yaml:"at_most" short:"yes" min:"1ms" max:"1h" default:"5s" doc:"Give up after this; a deadline of the program itself counts as ETIMEDOUT."`
}

func (s *receiveStep) describe() string      { return "the client receives" }
func (s *receiveStep) check(Scenario) string { return "" }

func (s *receiveStep) run(_ context.Context, r *run, active []*flow) error {
	for _, f := range active {
		if f.conn != nil {
			_, _ = f.conn.Receive(probe.MessageSize, time.Now().Add(r.scenario.here(s.AtMost, time.Millisecond))) // reported
		}
	}
	return r.drain()
}

// deleteEntryStep deletes the conntrack entry of one connection and leaves all others alone.
type deleteEntryStep struct {
	Connection int    `yaml:"connection,required" short:"yes" min:"1" max:"4000" doc:"The connection's number."`
	On         string `yaml:"on" pattern:"^(master|node[1-4])$" default:"master" doc:"Whose table."`
}

func (s *deleteEntryStep) describe() string {
	return fmt.Sprintf("delete the entry of connection %d on %s", s.Connection, s.On)
}

func (s *deleteEntryStep) check(sc Scenario) string { return wrongNode(sc, s.On) }

func (s *deleteEntryStep) run(_ context.Context, r *run, _ []*flow) error {
	ns := r.lab.Namespace(s.On)
	entries, err := conntrack.List(ns)
	if err != nil {
		return fmt.Errorf("read the conntrack table of %s: %w", s.On, err)
	}
	for _, e := range entries {
		r.mu.Lock()
		mine := r.index.of(time.Now(), e.Original.Src, e.Original.Dst, e.Reply.Src, e.Reply.Dst) == s.Connection
		r.mu.Unlock()
		if !mine {
			continue
		}
		if err := r.deleteEntry(ns, e); err != nil {
			return fmt.Errorf("delete %s on %s: %w", e.Original, s.On, err)
		}
	}
	return r.drain()
}
