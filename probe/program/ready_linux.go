package program

import (
	"context"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// Await waits until a fact about the TCP sockets of a namespace holds. The error is *Ended if the program ends first,
// or has not brought it about within the time given; text is the fact in words, "it listened on port 2222". A command
// that ends well and leaves something running behind, as daemons do, is waited for.
func (p *Program) Await(ctx context.Context, ns *topology.Namespace, within time.Duration, text string,
	holds func([]socket.Socket) bool) error {
	reader, err := socket.Open(ns)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	give := time.Now().Add(within)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		over := p.over() // before looking: what it did last counts
		sockets, err := reader.List()
		if err != nil {
			return err
		}
		if holds(sockets) {
			return nil
		}
		if over || time.Now().After(give) {
			return p.Failed(text)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
		case <-time.After(pause):
		}
	}
}

// over is true once nothing of the program runs, or its command has failed.
func (p *Program) over() bool {
	select {
	case <-p.done:
		return true
	default:
	}
	e := p.Exit()
	return e != nil && e.Code != 0
}

// Listens tells whether one of the sockets takes connections on a port.
func Listens(port uint16) func([]socket.Socket) bool {
	return func(all []socket.Socket) bool {
		return slices.ContainsFunc(all, func(s socket.Socket) bool {
			return s.State == socket.Listening && s.Local.Port() == port && !s.Local.Addr().IsLoopback()
		})
	}
}
