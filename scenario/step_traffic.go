package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/probe"
)

// connectStep opens the connections through the service: those of world.connections that are not open yet, or one more.
type connectStep struct {
	More    bool          `yaml:"more" doc:"Open one more connection, numbered after the others."`
	Port    int           `yaml:"port" min:"1024" max:"65535" doc:"The client's source port; 0 lets the kernel choose."`
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"130s" default:"130s" doc:"Give up waiting for the handshake; the kernel itself takes 127 s."`
}

// connectTimeout is longer than the kernel takes to give up a SYN with its default of 6 retries, 127 s.
const connectTimeout = 130 * time.Second

func (c *connectStep) describe() string {
	text := "connect to the service"
	if c.More {
		text = "open one more connection to the service"
	}
	if c.Port != 0 {
		text += fmt.Sprintf(" from port %d", c.Port)
	}
	return text
}

func (c *connectStep) check(s Scenario) string {
	if c.Port != 0 && !c.More && s.World.Connections > 1 {
		return "one source port serves one connection; set more: true"
	}
	return ""
}

func (c *connectStep) run(ctx context.Context, r *run, active []*flow) error {
	if c.More {
		f := &flow{id: len(r.flows) + 1}
		r.flows = append(r.flows, f)
		active = []*flow{f}
	}
	for _, f := range active {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.tried {
			continue
		}
		f.tried = true
		since := time.Now()
		conn, local, err := r.dial(ctx, c.Timeout, f.id, netip.AddrPortFrom(r.ev.client, uint16(c.Port)))
		r.opened(flowFacts{f.id, local, since})
		if err == nil {
			f.conn = conn // an error is reported; it is a fact about the connection, not a failure of the run
		}
	}
	return errors.Join(r.drain(), ctx.Err())
}

func (r *run) dial(ctx context.Context, limit time.Duration, id int, from netip.AddrPort) (*probe.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return probe.Dial(ctx, r.lab.Namespace(r.ev.clientAt), r.scenario.protocol(), id, from, r.service(),
		r.scenario.socket(r.scenario.World.Client), r.report)
}

// socket is how a program sets its socket in this run.
func (s Scenario) socket(p Program) probe.SocketOptions {
	o := probe.SocketOptions{UserTimeout: s.here(p.UserTimeout, time.Millisecond)}
	if k := p.Keepalive; k != nil {
		o.KeepAlive, o.KeepCount = true, k.Count
		o.KeepIdle, o.KeepInterval = s.here(k.Idle, time.Second), s.here(k.Interval, time.Second)
	}
	return o
}

// sendStep sends one message of ten bytes on every connection and waits until it is known what became of it.
type sendStep struct {
	From       string `yaml:"from" short:"yes" enum:"client,server" default:"client" doc:"The side that speaks."`
	Connection int    `yaml:"connection" min:"1" max:"4000" doc:"Only this one; 0 is every connection."`
}

func (s *sendStep) describe() string {
	text := fmt.Sprintf("%s sends %d bytes", s.From, probe.MessageSize)
	if s.Connection != 0 {
		text += fmt.Sprintf(" on connection %d", s.Connection)
	}
	return text
}

func (s *sendStep) check(Scenario) string { return "" }

func (s *sendStep) run(ctx context.Context, r *run, active []*flow) error {
	if s.Connection != 0 {
		active = r.flows
	}
	var speaking []*flow
	for _, f := range active {
		conn := r.end(f, s.From)
		if conn == nil || (s.Connection != 0 && f.id != s.Connection) {
			continue // never connected, no server has heard of it, or not meant
		}
		f.sent++
		f.speaker = conn
		_ = conn.Send(probe.Message(f.id, f.sent)) // the result is reported
		speaking = append(speaking, f)
	}
	for _, f := range speaking {
		if err := r.settle(ctx, f, s.From == "client" && !r.scenario.foreignServer()); err != nil {
			return err
		}
	}
	return r.drain()
}

// silence is how long a UDP message may take to arrive before it counts as lost: a hundred times what it takes here.
const silence = 200 * time.Millisecond

// settle waits until the last message of a connection has arrived, its socket is closed (the RST is here), or the
// kernel has retransmitted it twice without an answer: a hang in the making, about 0.6 s after the send. Of UDP
// nobody knows what became of a message that does not arrive; there the wait ends with silence.
func (r *run) settle(ctx context.Context, f *flow, toServer bool) error {
	start := time.Now()
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if toServer && r.arrived(f) {
			return nil
		}
		if r.scenario.protocol() == probe.UDP && time.Since(start) > silence {
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

// shutdownStep ends one side's stream with a FIN and keeps the other direction open.
type shutdownStep struct {
	From string `yaml:"from,required" short:"yes" enum:"client,server" doc:"The side that has nothing more to say."`
}

func (s *shutdownStep) describe() string {
	return "the " + s.From + " ends its stream (FIN), and stays"
}
func (s *shutdownStep) check(Scenario) string { return "" }

// run waits until the FIN has arrived, is acknowledged, or has been retransmitted twice.
func (s *shutdownStep) run(ctx context.Context, r *run, active []*flow) error {
	for _, f := range active {
		conn := r.end(f, s.From)
		if conn == nil {
			continue
		}
		_ = conn.CloseWrite() // reported
		f.speaker = conn
		if err := r.settle(ctx, f, false); err != nil {
			return err
		}
	}
	return r.drain()
}
