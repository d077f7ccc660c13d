package nlgroup

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lost is 0 if handle took in every datagram as the kernel made it. Otherwise it is how often the kernel could not put
// one into the full buffer, see Refused, plus those for which handle gave an error.
func (l *Listener) Lost() int { return int(l.Refused() + l.unread.Load()) }

// Overruns is how often reading the socket gave ENOBUFS: each is one time the buffer was full, however much did not fit.
func (l *Listener) Overruns() int { return int(l.overruns.Load()) }

// Refused is how many datagrams the kernel could not queue (sk_drops, in `ss -m` as d…). A kernel that does not tell,
// before 4.12, is taken to have refused one at each overrun.
func (l *Listener) Refused() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return l.refused
	}
	return l.readRefused()
}

// Drain returns when handle has returned for every datagram that the kernel had queued before the call. It gives the
// first error of the listener, if there was one. After Close it returns at once.
func (l *Listener) Drain() error {
	done := make(chan struct{})
	l.mu.Lock()
	if !l.closing {
		// It is told in the first round of reading that begins after this.
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

// Closed tells whether Close was called.
func (l *Listener) Closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// Close handles what is queued, ends the subscription and gives the first error of the listener. Lost, Refused and
// Overruns keep their last value. Closing twice is harmless and gives the same error.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closing = true
		l.signal()
		l.mu.Unlock()
		<-l.ended
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = l.readRefused()
		l.release()
	})
	return l.Drain()
}

// signal wakes the reader; the caller holds mu.
func (l *Listener) signal() {
	// It cannot fail short of 2^64 signals that nobody took.
	_, _ = unix.Write(l.wake, binary.NativeEndian.AppendUint64(nil, 1))
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

// readRefused reads the socket's drop counter through SO_MEMINFO; the caller holds mu.
func (l *Listener) readRefused() int64 {
	var info [9]uint32 // SK_MEMINFO_VARS
	const drops = 8    // SK_MEMINFO_DROPS
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(l.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return l.overruns.Load()
	}
	return int64(info[drops])
}
