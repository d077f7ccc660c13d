package replay

import (
	"errors"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/evidence"
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

// reader looks at the sockets of a pod or node; nil if it is gone.
func (w *world) reader(place string) (*socket.Reader, error) {
	ns := w.lab.Namespace(place)
	if ns == nil {
		return nil, nil
	}
	if r := w.readers[place]; r != nil {
		return r, nil
	}
	reader, err := socket.Open(ns)
	if err != nil {
		return nil, err
	}
	w.readers[place] = reader
	return reader, nil
}

// sockets are the TCP sockets in a pod or on a node; none if it is gone.
func (w *world) sockets(place string) ([]socket.Socket, error) {
	reader, err := w.reader(place)
	if reader == nil {
		return nil, err
	}
	return reader.List()
}

// socketOf is what the kernel's table says of a socket; false if it is gone, or its pod is.
func (w *world) socketOf(at string, local, remote netip.AddrPort) (socket.Socket, bool) {
	reader, err := w.reader(at)
	if reader == nil || err != nil {
		return socket.Socket{}, false
	}
	s, err := reader.Get(local, remote)
	return s, err == nil
}

// sample notes the state of both ends of every connection.
func (r *run) sample() {
	if !r.options.watches(evidence.FromSockets) || !r.plan.Followed() || r.plan.UDP() {
		return
	}
	r.sampleExternal()
	for _, f := range r.flows {
		for _, c := range r.ends(f) {
			s, ok := r.socketOf(c.At(), c.Local(), c.Remote())
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

func (w *world) closeReaders() error {
	var errs []error
	for _, reader := range w.readers {
		errs = append(errs, reader.Close())
	}
	return errors.Join(errs...)
}
