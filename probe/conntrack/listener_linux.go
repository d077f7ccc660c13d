package conntrack

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/nlgroup"
	"github.com/ctsim/ctsim/topology"
)

const (
	// listenBuffer is asked for as the socket's receive buffer: room for the events of about 100,000 entries that die in
	// the same moment.
	listenBuffer = 64 << 20
	// redelivery is how often the kernel tries again to send a DESTROY that did not fit (ECACHE_RETRY_JIFFIES).
	redelivery = 10 * time.Millisecond
	// patience is how long Drain waits for the next of the DESTROY events that the kernel holds back.
	patience = 30 * time.Second
)

// ErrBehind is returned by Drain when the kernel holds DESTROY events back and does not send them.
var ErrBehind = errors.New("the kernel holds events back and sends none")

// Listener receives the conntrack events of one namespace. Make one with Listen, before the first packet.
type Listener struct {
	ns      *topology.Namespace
	group   *nlgroup.Listener
	handle  func(Event)
	handled atomic.Int64 // events
	settled atomic.Int64 // what the kernel had refused to queue when Drain last found nothing held back
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
	l := &Listener{ns: ns, handle: handle}
	var err error
	l.group, err = nlgroup.Join(ns, eventGroups(buffer), l.deliver)
	if err != nil {
		return nil, fmt.Errorf("listen to conntrack events of %s: %w", ns.Name(), err)
	}
	return l, nil
}

func eventGroups(buffer int) nlgroup.Options {
	return nlgroup.Options{
		Groups:         []int{unix.NFNLGRP_CONNTRACK_NEW, unix.NFNLGRP_CONNTRACK_UPDATE, unix.NFNLGRP_CONNTRACK_DESTROY},
		Buffer:         buffer,
		BroadcastError: true,
	}
}

func (l *Listener) deliver(datagram []byte) error {
	events, err := Decode(datagram)
	now := time.Now()
	for _, e := range events {
		e.Seen = now
		if !e.KernelTime {
			e.Time = now
		}
		l.handle(e)
		l.handled.Add(1)
	}
	return err
}

// Buffer is the size of the receive buffer that the kernel granted, in bytes of its own accounting (an event takes about
// 1,300), which is twice the size asked for if it was granted in full.
func (l *Listener) Buffer() int { return l.group.Buffer() }

// Lost is 0 if handle was given every event as the kernel made it. Otherwise it is an upper bound of what is missing:
// how often the kernel could not put an event into the full buffer (sk_drops), plus the events that could not be
// decoded.
//
// What a refused event means depends on its kind. A DESTROY is never lost: the kernel keeps the dead entry and sends the
// event again until it fits (ecache_work), each failure counting once more; after Drain it has been handled. A NEW or
// UPDATE is not sent again by itself: its news are merged into the entry's next event, so a NEW may come late and with
// the next state, or not at all if a DESTROY comes first.
func (l *Listener) Lost() int { return l.group.Lost() }

// Overruns is how often reading the socket gave ENOBUFS: each is one time the buffer was full, however many events did
// not fit.
func (l *Listener) Overruns() int { return l.group.Overruns() }

// Drain returns when handle has returned for every event that the kernel had queued for this listener before the call,
// and for every DESTROY that it was holding back because the buffer was full. It gives the first error of the listener,
// if there was one; ErrBehind if events are held back and none has come for half a minute. After Close it returns at
// once.
func (l *Listener) Drain() error { return l.wrap(l.drain()) }

func (l *Listener) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("conntrack events of %s: %w", l.ns.Name(), err)
}

func (l *Listener) drain() error {
	progress, since := l.handled.Load(), time.Now()
	for ; ; time.Sleep(redelivery) {
		if err := l.group.Drain(); err != nil {
			return err
		}
		refused := l.group.Refused()
		if refused == l.settled.Load() || l.group.Closed() {
			return nil
		}
		// Something did not fit. Held-back events wait in the list of dying entries until a retry succeeds; when the
		// list is empty they are in the buffer, and draining once more is enough.
		held, err := anyDying(l.ns)
		if err != nil {
			return fmt.Errorf("list dying entries: %w", err)
		}
		if !held {
			l.settled.Store(refused)
			return l.group.Drain()
		}
		if n := l.handled.Load(); n != progress {
			progress, since = n, time.Now()
		} else if time.Since(since) > patience {
			return ErrBehind
		}
	}
}

// Close drains, ends the subscription and gives the first error of the listener. Lost and Overruns keep their last
// value. Closing twice is harmless and gives the same error.
func (l *Listener) Close() error {
	err := l.drain()
	if closed := l.group.Close(); err == nil {
		err = closed
	}
	return l.wrap(err)
}
