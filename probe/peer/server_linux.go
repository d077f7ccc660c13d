package peer

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

// Reading is how a Listener reads its connections. The zero value is what a scenario's servers do.
type Reading struct {
	// Raw reports each recv(2) as it comes. Otherwise messages of MessageSize bytes are read, each reported once it is
	// whole, and their connection's number is learnt from them.
	Raw bool
	// CloseAtEnd closes a connection once its peer has ended its stream or it has failed. Otherwise this side of it stays
	// open, and with it the socket.
	CloseAtEnd bool
}

// Listener is the article's server: it accepts and reads, many connections at a time, and never answers by itself.
type Listener struct {
	at      string
	tcp     net.Listener
	reading Reading
	report  func(Report)

	mu     sync.Mutex
	closed bool
	conns  []*Conn
	done   sync.WaitGroup
}

// Serve listens in a namespace. The options hold for every accepted connection, which inherits them from the
// listening socket. The report function may be called from several goroutines at once and must not block.
func Serve(ns *topology.Namespace, address netip.AddrPort, o SocketOptions, report func(Report)) (*Listener, error) {
	return ServeReading(ns, address, o, Reading{}, report)
}

// ServeReading is Serve with a choice of how connections are read.
func ServeReading(ns *topology.Namespace, address netip.AddrPort, o SocketOptions, reading Reading,
	report func(Report)) (*Listener, error) {
	cfg := net.ListenConfig{KeepAlive: -1, Control: o.control}
	cfg.SetMultipathTCP(false) // the default since Go 1.24, and not what a C server gets from socket(2)
	l := &Listener{at: ns.Name(), reading: reading, report: report}
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

// Address is what the socket is bound to, with the port that the kernel chose if none was asked for.
func (l *Listener) Address() netip.AddrPort { return addrPort(l.tcp.Addr()) }

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
func (l *Listener) Stop() error { return closeListening(l.tcp) }

// Close ends the listener and every connection without a word to their peers, and waits for its goroutines.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.mu.Unlock()
	err := closeListening(l.tcp)
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

// read receives until the connection is over. One whose peer has ended its stream stays in the list, since its own end
// is still open, unless it is to be closed then.
func (l *Listener) read(c *Conn) {
	defer close(c.over)
	buf := make([]byte, MessageSize)
	if l.reading.Raw {
		buf = make([]byte, rawSize)
	}
	var err error
	for err == nil {
		err = l.readOnce(c, buf)
	}
	if !l.reading.CloseAtEnd {
		return
	}
	l.mu.Lock()
	// A clone, because Close goes through the list it found.
	l.conns = slices.DeleteFunc(slices.Clone(l.conns), func(other *Conn) bool { return other == c })
	l.mu.Unlock()
	if !errors.Is(err, net.ErrClosed) { // by this side's program: all is said
		_ = c.Close() // reported
	}
}

// rawSize is the most that one recv of a raw reader takes.
const rawSize = 4096

// readOnce makes one recv, or as many as a message takes, and reports it; an error means that nothing more can come.
func (l *Listener) readOnce(c *Conn, buf []byte) error {
	var n int
	var err error
	if l.reading.Raw {
		n, err = c.socket.Read(buf)
	} else {
		n, err = io.ReadFull(c.socket, buf)
		if id, _, ok := ParseMessage(buf[:n]); ok {
			c.id.CompareAndSwap(0, int64(id))
		}
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.tell(Report{Call: Recv, Bytes: n, Data: slices.Clone(buf[:n])})
		return err
	}
	c.tell(Report{Call: Recv, Bytes: n, Data: slices.Clone(buf[:n]), Err: err})
	return err
}
