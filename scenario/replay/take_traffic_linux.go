package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
)

func (r *run) connect(ctx context.Context, c *scenario.Connect, active []*flow) error {
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
		f.since = time.Now().Round(0) // the kernel's times have no monotonic reading
		conn, local, err := r.dial(ctx, c.Timeout, f.id, netip.AddrPortFrom(r.ev.Client, uint16(c.Port)))
		r.opened(evidence.FlowFacts{ID: f.id, Local: local, Since: f.since})
		if err == nil {
			f.conn = conn // an error is reported; it is a fact about the connection, not a failure of the run
		}
	}
	return errors.Join(r.drain(), ctx.Err())
}

func (r *run) dial(ctx context.Context, limit time.Duration, id int, from netip.AddrPort) (*peer.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return peer.Dial(ctx, r.lab.Namespace(r.ev.ClientAt), r.protocol(), id, from, r.service(),
		socketOptions(r.plan.Client.Socket), r.report)
}

func (r *run) send(ctx context.Context, s *scenario.Send, active []*flow) error {
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
		if err := conn.Send(peer.Message(f.id, f.sent)); err == nil { // an error is reported, and nothing is under way then
			speaking = append(speaking, f)
		}
	}
	for _, f := range speaking {
		if err := r.settle(ctx, f, s.From == "client" && !r.plan.ExternalServer()); err != nil {
			return err
		}
	}
	return r.drain()
}

// silence is how long a UDP message may take to arrive before it counts as lost: a hundred times what it takes here.
const silence = 200 * time.Millisecond

// settleLimit ends the wait for what becomes of a message that a kernel has taken and no application reads.
const settleLimit = 30 * time.Second

// unsent is how long a TCP message may be neither in flight nor there: the peer's window is closed, or the kernel does not say
// whether it is.
const unsent = 3 * time.Second

// settle waits until the last message of a connection has arrived, its socket is closed (the RST is here), or the
// kernel has tried it again twice without an answer: a hang in the making, about 0.6 s after the send. It ends with
// settleLimit in any case, and then as a fact that was not met. Of UDP nobody knows what became of a message that does
// not arrive; there the wait ends with silence.
func (r *run) settle(ctx context.Context, f *flow, toServer bool) error {
	start := time.Now()
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if toServer && r.arrived(f) {
			return nil
		}
		if err := r.lacked(); err != nil {
			return err
		}
		state, err := f.speaker.State()
		switch waited := time.Since(start); {
		case err != nil, state.Closed(), state.Retransmits >= 2, state.Withheld() && state.Probes >= 2:
			return nil
		case state.Unacked == 0 && (!toServer || waited > unsent):
			return nil
		case r.plan.UDP() && waited > silence:
			return nil
		case waited > settleLimit:
			r.unmet(fmt.Sprintf("connection %d: %s after a message it has neither arrived nor come to nothing", f.id, settleLimit))
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// shutdown sends a FIN and waits until it has arrived, is acknowledged, or has been retransmitted twice.
func (r *run) shutdown(ctx context.Context, s *scenario.Shutdown, active []*flow) error {
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

// socketOptions is a plan's setting of a socket as the probe takes it.
func socketOptions(s scenario.Socket) peer.SocketOptions {
	return peer.SocketOptions{KeepAlive: s.KeepAlive, KeepIdle: s.KeepIdle, KeepInterval: s.KeepInterval,
		KeepCount: s.KeepCount, UserTimeout: s.UserTimeout}
}

// protocol is what client and servers speak.
func (r *run) protocol() peer.Protocol {
	if r.plan.UDP() {
		return peer.UDP
	}
	return peer.TCP
}
