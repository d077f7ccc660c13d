package conntrack

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

const (
	// listenBuffer is asked for as the socket's receive buffer: room for the events of about 100,000 entries that die in
	// the same moment.
	listenBuffer = 64 << 20
	// datagramSize is more than any event of the kernel (NLMSG_GOODSIZE).
	datagramSize = 64 << 10
	// redelivery is how often the kernel tries again to send a DESTROY that did not fit (ECACHE_RETRY_JIFFIES).
	redelivery = 10 * time.Millisecond
	// patience is how long Drain waits for the next of the DESTROY events that the kernel holds back.
	patience = 30 * time.Second
)

// ErrBehind is returned by Drain when the kernel holds DESTROY events back and does not send them.
var ErrBehind = errors.New("the kernel holds events back and sends none")

// Listener receives the conntrack events of one namespace. Make one with Listen, before the first packet.
type Listener struct {
	ns     *topology.Namespace
	fd     int
	wake   int // eventfd: somebody waits in barrier, or Close was called
	buffer int
	handle func(Event)
	ended  chan struct{}

	handled  atomic.Int64 // events
	overruns atomic.Int64
	unread   atomic.Int64 // datagrams that could not be decoded
	settled  atomic.Int64 // sk_drops when Drain last found nothing held back

	mu      sync.Mutex
	waiting []chan struct{}
	closing bool
	refused int64 // sk_drops, kept when the socket is closed
	err     error
	once    sync.Once
}

// Listen subscribes to the NEW, UPDATE and DESTROY events of ns and calls handle with each of them, in order, from one
// goroutine. Handle must not call Drain or Close; the events that come while it works are kept in a large buffer. Listen
// returns once the subscription is in force. Close it before ns is closed.
//
// The socket asks the kernel to notice when an event does not fit into the buffer (NETLINK_BROADCAST_ERROR), see Lost.
// It needs CAP_NET_ADMIN over the namespace for the full buffer (SO_RCVBUFFORCE); without it the buffer is what
// net.core.rmem_max allows, see Buffer. Equivalent: `conntrack -E`.
func Listen(ns *topology.Namespace, handle func(Event)) (*Listener, error) {
	return listen(ns, listenBuffer, handle)
}

func listen(ns *topology.Namespace, buffer int, handle func(Event)) (*Listener, error) {
	l := &Listener{ns: ns, fd: -1, wake: -1, handle: handle, ended: make(chan struct{})}
	err := ns.Do(func() error { return l.open(buffer) })
	if err == nil {
		l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("listen to conntrack events of %s: %w", ns.Name(), err)
	}
	go l.run()
	return l, nil
}

// open makes the socket; it runs inside the namespace.
func (l *Listener) open(buffer int) (err error) {
	l.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		// Not an error: the kernel grants what net.core.rmem_max allows, and BROADCAST_ERROR covers the rest.
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if l.buffer, err = unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return fmt.Errorf("SO_RCVBUF: %w", err)
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_NETLINK, unix.NETLINK_BROADCAST_ERROR, 1); err != nil {
		return fmt.Errorf("NETLINK_BROADCAST_ERROR: %w", err)
	}
	groups := uint32(0)
	for _, g := range []int{unix.NFNLGRP_CONNTRACK_NEW, unix.NFNLGRP_CONNTRACK_UPDATE, unix.NFNLGRP_CONNTRACK_DESTROY} {
		groups |= 1 << (g - 1)
	}
	if err := unix.Bind(l.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// Buffer is the size of the receive buffer that the kernel granted, in bytes of its own accounting (an event takes about
// 1,300), which is twice the size asked for if it was granted in full.
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
		case errors.Is(err, unix.ENOBUFS):
			l.overruns.Add(1)
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // only the kernel's word counts
		}
		if flags&unix.MSG_TRUNC != 0 {
			l.misread(fmt.Errorf("%w: datagram longer than %d bytes", ErrMalformed, len(datagram)))
			continue
		}
		l.deliver(datagram[:n])
	}
}

func (l *Listener) deliver(datagram []byte) {
	events, err := Decode(datagram)
	if err != nil {
		l.misread(err)
	}
	now := time.Now()
	for _, e := range events {
		e.Seen = now
		if !e.KernelTime {
			e.Time = now
		}
		l.handle(e)
		l.handled.Add(1)
	}
}

// misread counts an event that could not be decoded and keeps the first reason.
func (l *Listener) misread(err error) {
	l.unread.Add(1)
	l.fail(err)
}

func (l *Listener) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("conntrack events of %s: %w", l.ns.Name(), err)
	}
}
