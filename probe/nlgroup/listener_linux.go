package nlgroup

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// datagramSize is more than any datagram of the kernel's events (NLMSG_GOODSIZE).
const datagramSize = 64 << 10

// ErrTruncated is the error of a listener that was sent a datagram longer than its 64 KiB.
var ErrTruncated = errors.New("netlink datagram longer than the buffer for one")

// Options say what to receive and how.
type Options struct {
	// Groups are the numbers of the multicast groups of NETLINK_NETFILTER, NFNLGRP_*.
	Groups []int
	// Buffer is the size to ask for as the socket's receive buffer, in bytes.
	Buffer int
	// BroadcastError asks the kernel to tell the sender of an event that it did not fit (NETLINK_BROADCAST_ERROR).
	// Connection tracking then keeps a DESTROY and sends it again.
	BroadcastError bool
}

// Listener receives the datagrams of one namespace's groups. Make one with [Join].
type Listener struct {
	fd     int
	wake   int // eventfd: somebody waits in Drain, or Close was called
	buffer int
	handle func(datagram []byte) error
	ended  chan struct{}

	overruns atomic.Int64
	unread   atomic.Int64 // datagrams for which handle gave an error, and truncated ones

	mu      sync.Mutex
	waiting []chan struct{}
	closing bool
	refused int64 // sk_drops, kept when the socket is closed
	err     error
	once    sync.Once
}

// Join subscribes to groups of ns and calls handle with each datagram that the kernel sends, in order, from one
// goroutine; the bytes are valid until it returns. What handle gives is counted in Lost and, if it is the first error, is
// the listener's. Handle must not call Drain or Close. Join returns once the subscription is in force. Close the listener
// before ns is closed.
//
// It needs CAP_NET_ADMIN over the namespace. The full buffer needs it over the machine (SO_RCVBUFFORCE); without, the
// buffer is what net.core.rmem_max allows, see Buffer.
func Join(ns *topology.Namespace, options Options, handle func(datagram []byte) error) (*Listener, error) {
	l := &Listener{fd: -1, wake: -1, handle: handle, ended: make(chan struct{})}
	err := ns.Do(func() error { return l.open(options) })
	if err == nil {
		if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			err = fmt.Errorf("eventfd: %w", err)
		}
	}
	if err != nil {
		l.release()
		return nil, err
	}
	go l.run()
	return l, nil
}

// open makes the socket; it runs inside the namespace.
func (l *Listener) open(o Options) (err error) {
	l.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.Buffer) != nil {
		// Not an error: the kernel grants what net.core.rmem_max allows, and Lost says if that was too little.
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.Buffer); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if l.buffer, err = unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return fmt.Errorf("SO_RCVBUF: %w", err)
	}
	if o.BroadcastError {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_NETLINK, unix.NETLINK_BROADCAST_ERROR, 1); err != nil {
			return fmt.Errorf("NETLINK_BROADCAST_ERROR: %w", err)
		}
	}
	groups := uint32(0)
	for _, g := range o.Groups {
		groups |= 1 << (g - 1)
	}
	if err := unix.Bind(l.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// Buffer is the size of the receive buffer that the kernel granted, in bytes of its own accounting, which is twice the
// size asked for if it was granted in full.
func (l *Listener) Buffer() int { return l.buffer }

// run reads until Close. Whoever waited before a round of reading began is told when the round has met the end.
func (l *Listener) run() {
	defer close(l.ended)
	datagram := make([]byte, datagramSize)
	for {
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			l.fail(fmt.Errorf("poll: %w", err))
			return
		}
		waiting, closing := l.take()
		err := l.readAll(datagram)
		for _, w := range waiting {
			close(w)
		}
		if err != nil {
			l.fail(err)
			return
		}
		if closing {
			return
		}
	}
}

// take clears the eventfd and gives who waits.
func (l *Listener) take() (waiting []chan struct{}, closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var counter [8]byte
	_, _ = unix.Read(l.wake, counter[:]) // EAGAIN if nobody wrote
	waiting, l.waiting = l.waiting, nil
	return waiting, l.closing
}

// readAll handles datagrams until the socket is empty.
func (l *Listener) readAll(datagram []byte) error {
	for {
		n, _, flags, from, err := unix.Recvmsg(l.fd, datagram, nil, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS): // sk_drops counts what is lost
			l.overruns.Add(1)
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // only the kernel's word counts
		}
		if flags&unix.MSG_TRUNC != 0 {
			l.misread(fmt.Errorf("%w: %d bytes", ErrTruncated, len(datagram)))
			continue
		}
		if err := l.handle(datagram[:n]); err != nil {
			l.misread(err)
		}
	}
}

// misread counts a datagram that could not be taken in, and keeps the first reason.
func (l *Listener) misread(err error) {
	l.unread.Add(1)
	l.fail(err)
}

func (l *Listener) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}
