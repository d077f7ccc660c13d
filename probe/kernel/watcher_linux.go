package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/ctsim/ctsim/topology"
)

// Watcher reports what the kernel does to TCP in the namespaces it watches. Make one with Watch.
type Watcher struct {
	objects    *objects
	reader     *ringbuf.Reader
	handle     func(Event)
	dictionary dictionary

	draining sync.Mutex    // one Drain at a time
	flushed  chan struct{} // for it: the buffer was read to its end
	ended    chan struct{} // the reading goroutine has returned, because of err
	err      error

	unread atomic.Uint64 // samples that could not be decoded

	mu     sync.Mutex
	closed bool
	lost   uint64 // kept when the maps are closed
}

// Watch attaches to the tracepoints and calls handle with each event of the namespaces, from one goroutine, in the order
// in which the kernel wrote them; events of different CPUs may differ from the order of their times by microseconds.
// Handle must not call Drain or Close. When Watch returns, nothing is missed from then on.
//
// On a machine that cannot do it the error matches *Unavailable; see the package's comment for what is needed. Reading
// the kernel's BTF takes the most time, some 25 ms: where that matters, call Watch without namespaces while the topology
// is being built, and Add them.
func Watch(handle func(Event), namespaces ...*topology.Namespace) (*Watcher, error) {
	if err := mayLoad(); err != nil {
		return nil, err
	}
	t, err := loadTypes()
	if err != nil {
		return nil, err
	}
	return watch(t, handle, namespaces)
}

func watch(t *types, handle func(Event), namespaces []*topology.Namespace) (*Watcher, error) {
	o, err := load(t)
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		objects: o,
		handle:  handle,
		dictionary: dictionary{
			dropReasons: t.dropReasons,
			functions:   (&functions{objects: o, known: map[uint64]string{}}).of,
			realtime:    realtime,
		},
		flushed: make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	if t.hasResetReason() {
		w.dictionary.resetReasons = t.resetReasons
	}
	if w.reader, err = ringbuf.NewReader(o.Samples); err != nil {
		return nil, errors.Join(fmt.Errorf("read the kernel's events: %w", err), o.Close())
	}
	for _, ns := range namespaces {
		err = errors.Join(err, w.Add(ns))
	}
	if err == nil {
		err = o.attach(t)
	}
	if err != nil {
		return nil, errors.Join(err, o.detach(), w.reader.Close(), o.Close())
	}
	go w.run()
	return w, nil
}

// Add watches one more namespace. Adding it twice is harmless.
func (w *Watcher) Add(ns *topology.Namespace) error {
	if err := w.objects.Namespaces.Put(uint32(ns.Inode()), uint8(1)); err != nil {
		return fmt.Errorf("watch the kernel in %s: %w", ns.Name(), err)
	}
	return nil
}

// Remove watches a namespace no longer. It is due when a namespace is closed before the Watcher: the kernel gives its
// inode number to another one.
func (w *Watcher) Remove(ns *topology.Namespace) error {
	err := w.objects.Namespaces.Delete(uint32(ns.Inode()))
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("stop watching the kernel in %s: %w", ns.Name(), err)
	}
	return nil
}

// run hands the samples of the ring buffer to handle until the reader is closed.
func (w *Watcher) run() {
	defer close(w.ended)
	var record ringbuf.Record
	for {
		err := w.reader.ReadInto(&record)
		switch {
		case err == nil:
			s, malformed := parseSample(record.RawSample)
			if malformed != nil {
				w.unread.Add(1)
				continue
			}
			w.handle(w.dictionary.event(s))
		case errors.Is(err, ringbuf.ErrFlushed):
			w.flushed <- struct{}{}
		default:
			w.err = err
			return
		}
	}
}

// Drain returns when every event that the kernel had written before the call was handed to handle. What the kernel did
// before a system call returned, or before an answer of the peer was read, is written by then.
func (w *Watcher) Drain() error {
	w.draining.Lock()
	defer w.draining.Unlock()
	// Flush makes the reader go once more to the end of the buffer and then say ErrFlushed. It waits there for a sample
	// that is being written.
	if err := w.reader.Flush(); err != nil {
		return fmt.Errorf("drain the kernel's events: %w", err)
	}
	select {
	case <-w.flushed:
		return nil
	case <-w.ended:
		return fmt.Errorf("drain the kernel's events: %w", w.err)
	}
}

// Lost counts the events that were not reported: the buffer was full (it holds some 7,000), or the kernel skipped a
// program that was at work on the same CPU already, in which case nobody knows whether it was one of ours. A Drop that is
// skipped so, which takes a busy host, is not counted. Lost can be asked after Close too.
func (w *Watcher) Lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		if n, err := w.objects.lost(); err == nil {
			w.lost = n
		}
	}
	return int(w.lost + w.unread.Load())
}

// Close detaches from the tracepoints. Events that were not handed over yet are forgotten: Drain first to have them.
// Handle is not called after Close has returned. Closing twice is harmless.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.objects.detach()
	lost, lostErr := w.objects.lost()
	w.lost = lost
	err = errors.Join(err, lostErr, w.reader.Close())
	<-w.ended
	if !errors.Is(w.err, os.ErrClosed) {
		err = errors.Join(err, w.err)
	}
	return errors.Join(err, w.objects.Close())
}
