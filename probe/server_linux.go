package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ctsim/ctsim/topology"
)

// Listener is the article's server: it accepts and reads, many connections at a time, and never answers by itself.
type Listener struct {
	at     string
	tcp    net.Listener
	report func(Report)

	mu     sync.Mutex
	closed bool
	conns  []*Conn
	done   sync.WaitGroup
}

// Serve listens in a namespace. The options hold for every accepted connection, which inherits them from the
// listening socket. The report function may be called from several goroutines at once and must not block.
func Serve(ns *topology.Namespace, address netip.AddrPort, o SocketOptions, report func(Report)) (*Listener, error) {
	cfg := net.ListenConfig{KeepAlive: -1, Control: o.control}
	cfg.SetMultipathTCP(false) // the default since Go 1.24, and not what a C server gets from socket(2)
	l := &Listener{at: ns.Name(), report: report}
	err := ns.Do(func() (err error) {
		l.tcp, err = cfg.Listen(context.Background(), "tcp4", address.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	l.done.Go(l.accept)
	return l, nil
}

// Conns are the connections accepted so far and not yet over, in order.
func (l *Listener) Conns() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.conns)
}

// Conn finds the connection with the client's number; nil if this server has not received a message of it.
func (l *Listener) Conn(id int) *Conn {
	for _, c := range l.Conns() {
		if c.ID() == id {
			return c
		}
	}
	return nil
}

// Stop closes the listening socket and leaves the connections as they are.
func (l *Listener) Stop() error { return l.tcp.Close() }

// Close ends the listener and every connection without a word to their peers, and waits for its goroutines.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.mu.Unlock()
	err := l.tcp.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	for _, c := range conns {
		c.Abandon()
	}
	l.done.Wait()
	return err
}

func (l *Listener) accept() {
	for {
		conn, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // the peer reset it in the queue, or descriptors ran out: the next may be well
			l.report(Report{Side: Server, At: l.at, Call: Accept, Time: time.Now(), Err: err})
			time.Sleep(time.Millisecond)
			continue
		}
		c := &Conn{side: Server, at: l.at, socket: conn, report: l.report, over: make(chan struct{})}
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			c.Abandon()
			return
		}
		l.conns = append(l.conns, c)
		l.mu.Unlock()
		c.tell(Report{Call: Accept})
		l.done.Go(func() { l.read(c) })
	}
}

// read receives message by message until the connection is over. A connection whose peer has ended its stream stays
// in the list: its own end is still open.
func (l *Listener) read(c *Conn) {
	defer close(c.over)
	buf := make([]byte, MessageSize)
	for {
		n, err := io.ReadFull(c.socket, buf)
		if id, _, ok := ParseMessage(buf[:n]); ok {
			c.id.CompareAndSwap(0, int64(id))
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			c.tell(Report{Call: Recv, Bytes: n, Data: slices.Clone(buf[:n])})
			return
		}
		c.tell(Report{Call: Recv, Bytes: n, Data: slices.Clone(buf[:n]), Err: err})
		if err != nil {
			return
		}
	}
}
