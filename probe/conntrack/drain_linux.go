package conntrack

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lost is 0 if handle was given every event as the kernel made it. Otherwise it is an upper bound of what is missing:
// how often the kernel could not put an event into the full buffer (sk_drops), plus the events that could not be
// decoded.
//
// What a refused event means depends on its kind. A DESTROY is never lost: the kernel keeps the dead entry and sends the
// event again until it fits (ecache_work), each failure counting once more; after Drain it has been handled. A NEW or
// UPDATE is not sent again by itself: its news are merged into the entry's next event, so a NEW may come late and with
// the next state, or not at all if a DESTROY comes first.
func (l *Listener) Lost() int { return int(l.refusals() + l.unread.Load()) }

// Overruns is how often reading the socket gave ENOBUFS: each is one time the buffer was full, however many events did
// not fit.
func (l *Listener) Overruns() int { return int(l.overruns.Load()) }

// Drain returns when handle has returned for every event that the kernel had queued for this listener before the call,
// and for every DESTROY that it was holding back because the buffer was full. It gives the first error of the listener,
// if there was one; ErrBehind if events are held back and none has come for half a minute. After Close it returns at
// once.
func (l *Listener) Drain() error {
	progress, since := l.handled.Load(), time.Now()
	for ; ; time.Sleep(redelivery) {
		if err := l.barrier(); err != nil {
			return err
		}
		refused := l.refusals()
		if refused == l.settled.Load() {
			return nil
		}
		// Something did not fit. Held-back events wait in the list of dying entries until a retry succeeds; when the
		// list is empty they are in the buffer, and one more barrier is enough.
		held, err := l.holdsBack()
		if err != nil {
			return err
		}
		if !held {
			l.settled.Store(refused)
			return l.barrier()
		}
		if n := l.handled.Load(); n != progress {
			progress, since = n, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("conntrack events of %s: %w", l.ns.Name(), ErrBehind)
		}
	}
}

// holdsBack tells whether the kernel has dead entries whose DESTROY could not be delivered yet.
// Equivalent: `conntrack -L dying`.
func (l *Listener) holdsBack() (held bool, err error) {
	l.mu.Lock()
	closing := l.closing
	l.mu.Unlock()
	if closing {
		return false, nil
	}
	err = with(l.ns, func(c *conn) (err error) {
		held, err = c.anyDying()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("list dying conntrack entries of %s: %w", l.ns.Name(), err)
	}
	return held, nil
}

// barrier waits until the reader has met the end of the queue in a round that began after this call.
func (l *Listener) barrier() error {
	done := make(chan struct{})
	l.mu.Lock()
	if !l.closing {
		l.waiting = append(l.waiting, done)
		l.signal()
	}
	l.mu.Unlock()
	select {
	case <-done:
	case <-l.ended:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// signal wakes the reader; the caller holds mu.
func (l *Listener) signal() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	// It cannot fail short of 2^64 signals that nobody took.
	_, _ = unix.Write(l.wake, one)
}

// Close drains, ends the subscription and gives the first error of the listener. Lost and Overruns keep their last
// value. Closing twice is harmless and gives the same error.
func (l *Listener) Close() error {
	err := l.Drain()
	l.once.Do(func() {
		l.mu.Lock()
		l.closing = true
		l.signal()
		l.mu.Unlock()
		<-l.ended
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = l.readRefusals()
		l.release()
	})
	return err
}

// release closes what is open.
func (l *Listener) release() {
	for _, fd := range []*int{&l.fd, &l.wake} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// refusals is how many events the kernel could not queue.
func (l *Listener) refusals() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return l.refused
	}
	return l.readRefusals()
}

// readRefusals reads the socket's drop counter (sk_drops) through SO_MEMINFO.
func (l *Listener) readRefusals() int64 {
	var info [9]uint32 // SK_MEMINFO_VARS
	const drops = 8    // SK_MEMINFO_DROPS
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(l.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		// A kernel without SO_MEMINFO (before 4.12): each overrun stands for at least one.
		return l.overruns.Load()
	}
	return int64(info[drops])
}
