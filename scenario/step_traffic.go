package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/probe"
)

// connectStep opens the connections through the service.
type connectStep struct{}

func (*connectStep) describe() string      { return "connect to the service" }
func (*connectStep) command() string       { return "ctsim client" }
func (*connectStep) check(Scenario) string { return "" }

func (*connectStep) run(ctx context.Context, r *run, active []*flow) error {
	for _, f := range active {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.conn != nil {
			continue
		}
		dial, cancel := context.WithTimeout(ctx, connectTimeout)
		conn, err := probe.Dial(dial, r.lab.Namespace(podClient), f.id, netip.AddrPort{}, r.service(),
			r.scenario.World.Client.socket(), r.report)
		cancel()
		if err != nil {
			continue // reported; it is a fact about the connection, not a failure of the run
		}
		f.conn = conn
		r.opened(f)
	}
	return r.drain()
}

// connectTimeout is longer than the kernel takes to give up a SYN with its default of 6 retries, 127 s.
const connectTimeout = 130 * time.Second

func (p Program) socket() probe.SocketOptions {
	o := probe.SocketOptions{UserTimeout: p.UserTimeout}
	if k := p.Keepalive; k != nil {
		o.KeepAlive, o.KeepIdle, o.KeepInterval, o.KeepCount = true, k.Idle, k.Interval, k.Count
	}
	return o
}

// sendStep sends one message of ten bytes on every connection and waits until it is known what became of it.
type sendStep struct {
	From string `yaml:"from" short:"yes" enum:"client,server" default:"client" doc:"The side that speaks."`
}

func (s *sendStep) describe() string {
	return fmt.Sprintf("%s sends %d bytes", s.From, probe.MessageSize)
}
func (s *sendStep) command() string       { return "" }
func (s *sendStep) check(Scenario) string { return "" }

func (s *sendStep) run(ctx context.Context, r *run, active []*flow) error {
	var speaking []*flow
	for _, f := range active {
		conn := f.conn
		if s.From == "server" {
			conn = r.serverConn(f)
		}
		if conn == nil {
			continue // never connected, or no server has heard of it
		}
		f.sent++
		f.speaker = conn
		_ = conn.Send(probe.Message(f.id, f.sent)) // the result is reported
		speaking = append(speaking, f)
	}
	for _, f := range speaking {
		if err := r.settle(ctx, f, s.From == "client"); err != nil {
			return err
		}
	}
	return r.drain()
}

// settle waits until the last message of a connection has arrived, its socket is closed (the RST is here), or the
// kernel has retransmitted it twice without an answer: a hang in the making, about 0.6 s after the send.
func (r *run) settle(ctx context.Context, f *flow, toServer bool) error {
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if toServer && r.arrived(f) {
			return nil
		}
		state, err := f.speaker.State()
		if err != nil || state.Closed() || state.Retransmits >= 2 || (!toServer && state.Unacked == 0) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
