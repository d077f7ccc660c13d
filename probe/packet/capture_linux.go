package packet

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/ctsim/ctsim/topology"
)

// ErrClosed is returned by a Capture after Close.
var ErrClosed = errors.New("capture is closed")

// Capture watches interfaces in any number of namespaces. Make one with NewCapture. Its methods may be called from any
// goroutine, but not from inside the handler.
//
// The sockets wait in the runtime's network poller, so an interface costs a goroutine but no thread.
type Capture struct {
	handle        func(Packet)
	receiveBuffer int // bytes asked of SO_RCVBUF per interface

	// mu is held while packets are taken from a socket and handed over. That makes Drain a barrier without any
	// signalling: what it does not find in the queue has been handed over before.
	mu      sync.Mutex
	taps    []*tap
	frame   []byte // where every frame is received
	decoder *decoder
	closed  bool

	clock    *clock // nil before the first Add
	readers  sync.WaitGroup
	closing  sync.Once
	closeErr error
}

// NewCapture makes a capture that hands each packet to handle: one at a time, those of one interface in the order the
// kernel saw them, those of different interfaces in any order (see Sort). A packet that cannot be decoded is handed
// over with what could be read of it. Handle runs on goroutines of the Capture, and while it runs nothing else is read.
func NewCapture(handle func(Packet)) *Capture {
	return &Capture{
		handle:        handle,
		receiveBuffer: defaultReceiveBuffer,
		frame:         make([]byte, maxFrame),
		decoder:       newDecoder(),
	}
}

// Add starts watching an interface of a namespace: every IPv4 packet that the namespace sends or receives there from
// now on. The interface may be down. It needs CAP_NET_RAW over the namespace and CAP_SYS_ADMIN, which entering it needs
// anyway. The first Add takes a millisecond longer: it waits until the kernel stamps packets when they arrive.
// Equivalent: `tcpdump -ni eth0 ip`.
func (c *Capture) Add(ns *topology.Namespace, iface string) error {
	if err := c.startClock(); err != nil {
		return fmt.Errorf("capture on %s of %s: %w", iface, ns.Name(), err)
	}
	t := &tap{hop: Hop{At: ns.Name(), Interface: iface}}
	if err := ns.Do(func() error { return t.open(c.receiveBuffer) }); err != nil {
		return fmt.Errorf("capture on %s of %s: %w", iface, ns.Name(), err)
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errors.Join(ErrClosed, t.file.Close())
	}
	c.taps = append(c.taps, t)
	c.readers.Go(func() { c.read(t) })
	c.mu.Unlock()
	return nil
}

func (c *Capture) startClock() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.clock != nil {
		return nil // Add notices itself that it comes too late
	}
	var err error
	c.clock, err = startClock()
	return err
}

// read hands over the packets of one interface until its socket is closed or breaks.
func (c *Capture) read(t *tap) {
	// The function runs once at the start and then each time the socket becomes readable; false means "wait again".
	err := t.raw.Read(func(fd uintptr) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.closed || c.empty(t, int(fd)) != nil
	})
	if err != nil && !errors.Is(err, os.ErrClosed) {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.fail(err)
	}
}

// empty hands over all packets that wait in a socket. It is called with mu held.
func (c *Capture) empty(t *tap, fd int) error {
	for t.err == nil {
		p, more, err := t.receive(fd, c.frame, c.decoder)
		if err != nil {
			t.fail(err)
		}
		if err != nil || !more {
			break
		}
		if p.Protocol != 0 {
			t.hop.Packets++
			c.handle(p)
		}
	}
	return t.err
}

// Drain is a barrier: every packet that was in a receive queue when it was called has been handed over when it
// returns. A sender's own packets are in its queue when send(2) returns; at the receiver they are there before the
// application can read them. It gives the first error of each interface that can be watched no more.
func (c *Capture) Drain() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	return c.drain()
}

func (c *Capture) drain() error {
	var errs []error
	for _, t := range c.taps {
		err := t.raw.Control(func(fd uintptr) { errs = append(errs, c.empty(t, int(fd))) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Hops gives the interfaces in the order they were added, with the packets handed over and lost so far. A loss makes
// the absence of a packet prove nothing. After Close it gives the final numbers.
func (c *Capture) Hops() ([]Hop, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	hops := make([]Hop, 0, len(c.taps))
	for _, t := range c.taps {
		if !c.closed {
			errs = append(errs, t.count())
		}
		hops = append(hops, t.hop)
	}
	return hops, errors.Join(errs...)
}

// Dropped gives the number of packets lost so far because a receive queue was full, by pod or node. Those that lost
// none are left out, so an empty map means that every packet was seen.
func (c *Capture) Dropped() (map[string]int, error) {
	hops, err := c.Hops()
	dropped := map[string]int{}
	for _, h := range hops {
		if h.Dropped > 0 {
			dropped[h.At] += h.Dropped
		}
	}
	return dropped, err
}

// Close hands over what waits, then closes the sockets; no packet is handed over after it. Calling it again waits for
// the first call and gives the same result.
//
// The kernel waits for an RCU grace period (packet_release, synchronize_net) per socket: 5 to 25 ms. All sockets are
// closed at once, so that they wait together, about 25 ms for 4 and 70 ms for 250; one after the other it would be 12 ms
// each, and so it is when a process ends without Close. A caller in a hurry calls Drain and Hops, and Close in a
// goroutine while it prints.
func (c *Capture) Close() error {
	c.closing.Do(func() { c.closeErr = c.close() })
	return c.closeErr
}

func (c *Capture) close() error {
	c.mu.Lock()
	errs := []error{c.drain()}
	for _, t := range c.taps {
		errs = append(errs, t.count())
	}
	c.closed = true
	taps := c.taps
	c.mu.Unlock()

	closed := make(chan error, len(taps))
	for _, t := range taps {
		go func() { closed <- t.file.Close() }()
	}
	for range taps {
		errs = append(errs, <-closed)
	}
	c.readers.Wait()
	if c.clock != nil {
		errs = append(errs, c.clock.close())
	}
	return errors.Join(errs...)
}
