package replay

import (
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"

	"errors"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/socket"
)

// ends are all sockets of a connection that the programs know of, the client's first.
func (r *run) ends(f *flow) []*peer.Conn {
	var out []*peer.Conn
	if f.conn != nil {
		out = append(out, f.conn)
	}
	for _, l := range r.servers {
		if c := l.Conn(f.id); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// sideOf is which end of the connection a socket is.
func (f *flow) sideOf(c *peer.Conn) peer.Side {
	if c == f.conn {
		return peer.Client
	}
	return peer.Server
}

// socket is what the kernel says of one end; false if it is gone, or its pod is.
func (r *run) socket(c *peer.Conn) (socket.Socket, bool) {
	if id := c.ID(); id > 0 && id <= len(r.flows) && !r.newest(r.flows[id-1]) {
		return socket.Socket{}, false // what has these addresses now is another connection's
	}
	reader := r.readers[c.At()]
	if reader == nil {
		ns := r.lab.Namespace(c.At())
		if ns == nil {
			return socket.Socket{}, false
		}
		var err error
		if reader, err = socket.Open(ns); err != nil {
			return socket.Socket{}, false
		}
		r.readers[c.At()] = reader
	}
	s, err := reader.Get(c.Local(), c.Remote())
	return s, err == nil
}

// look notes the state of both ends of every connection.
func (r *run) look() {
	if !r.options.watches(evidence.FromSockets) || !r.plan.Followed() || r.plan.UDP() {
		return
	}
	r.lookForeign(false)
	for _, f := range r.flows {
		for _, c := range r.ends(f) {
			s, ok := r.socket(c)
			if state, err := c.State(); !ok && err == nil && state.Closed() {
				// The kernel's tables no longer have it, the program does.
				s, ok = socket.Socket{Local: c.Local(), Remote: c.Remote(), State: socket.Closed}, true
			}
			if !ok {
				continue
			}
			l := evidence.SocketSample{Time: time.Now(), At: c.At(), Flow: f.id, Side: f.sideOf(c), Socket: s}
			r.mu.Lock()
			r.ev.Samples = append(r.ev.Samples, l)
			r.live(func() evidence.Observation { return r.ev.SocketObservation(&l) })
			r.mu.Unlock()
		}
	}
}

// timer is the timer that runs on a socket, as netstat names it; empty if no expectation asks for one and there are too
// many connections to ask the kernel for each.
func (r *run) timer(c *peer.Conn) string {
	asked := r.plan.Followed() ||
		slices.ContainsFunc(r.plan.Expect.Sockets, func(s scenario.SocketCheck) bool { return s.Timer != "" })
	if !asked {
		return ""
	}
	s, ok := r.socket(c)
	if !ok {
		return "" // gone with its connection
	}
	return s.Timer.Kind.String()
}

func (r *run) closeReaders() error {
	var errs []error
	for _, reader := range r.readers {
		errs = append(errs, reader.Close())
	}
	return errors.Join(errs...)
}
