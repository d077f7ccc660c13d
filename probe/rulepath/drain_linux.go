package rulepath

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Paths gives the paths of the packets that were traced since the last call, in the order they began, and forgets them.
// Their rules have texts as far as they were learnt. All that the kernel had said before the call is in; a packet that is
// on its way at this moment would be cut in two, so call it when the packets have arrived. The error is the first of the
// watcher, if there was one; the paths come with it.
func (w *Watcher) Paths() ([]Path, error) {
	err := w.Drain()
	w.mu.Lock()
	defer w.mu.Unlock()
	paths := w.trace.take()
	for _, p := range paths {
		w.texts.resolve(p.Hops)
	}
	return paths, err
}

// Drain returns when everything that the kernel had said before the call has been taken in, and gives the first error of
// the watcher, if there was one. After Close it returns at once.
func (w *Watcher) Drain() error {
	done := make(chan struct{})
	w.mu.Lock()
	if !w.closing {
		w.waiting = append(w.waiting, done)
		w.signal()
	}
	w.mu.Unlock()
	select {
	case <-done:
	case <-w.ended:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Lost is 0 if every hop of every traced packet is in its path. Otherwise it is how many messages are missing: the kernel
// could not put them into the full buffer (sk_drops), they could not be decoded, or they came when 65,536 paths were
// waiting for Paths. A path may then lack hops, and say so nowhere.
func (w *Watcher) Lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	refused := w.refused
	if w.fd >= 0 {
		refused = w.readRefusals()
	}
	return int(refused+w.unread.Load()) + w.trace.left
}

// Close ends the tracing and takes its table away. It gives the first error of the watcher; paths that are not yet taken
// still can be. Closing twice is harmless and gives the same error. The kernel lets a table's socket go only after an RCU
// grace period, 5 to 25 ms: close the watchers of several nodes side by side.
func (w *Watcher) Close() error {
	w.once.Do(func() {
		w.orders.Lock()
		defer w.orders.Unlock()
		if err := w.control.apply(deleteTable(w.table)); err != nil {
			w.fail(fmt.Errorf("delete table %s: %w", w.table, err))
		}
		w.mu.Lock()
		w.closing = true
		w.signal()
		w.mu.Unlock()
		<-w.ended
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refused = w.readRefusals()
		w.release()
	})
	return w.Drain()
}

// called clears the eventfd and gives who waits.
func (w *Watcher) called() (waiting []chan struct{}, closing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var counter [8]byte
	_, _ = unix.Read(w.wake, counter[:]) // EAGAIN if nobody wrote
	waiting, w.waiting = w.waiting, nil
	return waiting, w.closing
}

// signal wakes the reader; the caller holds mu.
func (w *Watcher) signal() {
	// It cannot fail short of 2^64 signals that nobody took.
	_, _ = unix.Write(w.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// release closes what is open.
func (w *Watcher) release() {
	for _, fd := range []*int{&w.fd, &w.wake} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
	if w.control != nil {
		_ = w.control.close()
	}
}

// readRefusals reads the socket's drop counter (sk_drops) through SO_MEMINFO; the caller holds mu.
func (w *Watcher) readRefusals() int64 {
	var info [9]uint32 // SK_MEMINFO_VARS
	const drops = 8    // SK_MEMINFO_DROPS
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(w.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0 // a kernel before 4.12
	}
	return int64(info[drops])
}
