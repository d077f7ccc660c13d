package rulepath

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/nlgroup"
	"github.com/ctsim/ctsim/topology"
)

// listenBuffer is asked for as the socket's receive buffer: room for the messages of some thousand packets.
const listenBuffer = 32 << 20

// Watcher follows packets of one namespace through its rules. Make one with [Watch]. Its methods may be called from any
// goroutine.
type Watcher struct {
	ns    *topology.Namespace
	group *nlgroup.Listener
	table string

	orders  sync.Mutex // guards control
	control *control
	// owned is true if the table goes with control.
	owned bool

	mu    sync.Mutex
	trace assembler
	texts book

	once sync.Once
	left error // the table's, if Close could not delete it
}

// Watch listens to the traces of a namespace. It traces nothing by itself: see [Watcher.Trace]. Others who trace packets
// there, iptables' TRACE target for instance, are heard too. Close it before ns is closed.
//
// It needs CAP_NET_ADMIN over the namespace, and nf_tables in the kernel. Equivalent: `nft monitor trace`.
func Watch(ns *topology.Namespace) (*Watcher, error) { return watch(ns, listenBuffer, tableOwner) }

// watch lets a test ask for a small buffer and for a table without an owner, which is all that kernels before 5.12 have.
func watch(ns *topology.Namespace, buffer int, flags uint32) (_ *Watcher, err error) {
	w := &Watcher{ns: ns, texts: book{}}
	defer func() {
		if err != nil {
			w.release()
			err = fmt.Errorf("trace the rules of %s: %w", ns.Name(), err)
		}
	}()
	if w.control, err = openControl(ns); err != nil {
		return nil, err
	}
	port, err := w.control.portID()
	if err != nil {
		return nil, err
	}
	w.table = fmt.Sprintf("ctsim-%d", port) // every watcher has its own
	w.trace = assembler{node: ns.Name(), own: w.table}
	w.group, err = nlgroup.Join(ns, nlgroup.Options{Groups: []int{groupTrace}, Buffer: buffer}, w.take)
	if err != nil {
		return nil, err
	}
	if err = w.createTable(flags); err != nil {
		return nil, err
	}
	return w, nil
}

// createTable makes the table that marks packets. An owner makes it go with the socket, even after SIGKILL.
func (w *Watcher) createTable(flags uint32) error {
	err := w.control.apply(createTable(w.table, flags))
	w.owned = err == nil && flags&tableOwner != 0
	if flags != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		err = w.control.apply(createTable(w.table, 0))
	}
	if err != nil {
		return fmt.Errorf("nf_tables table %s: %w", w.table, err)
	}
	return nil
}

// Buffer is the size of the receive buffer that the kernel granted, in bytes of its own accounting, twice the size asked
// for if it was granted in full. A message takes about 1,000.
func (w *Watcher) Buffer() int { return w.group.Buffer() }

// Trace chooses which packets are traced from now on: those that fit one of the matches; without any, none. It replaces
// what was chosen before, in one step. The error matches [ErrMatch] if a match cannot be.
// Equivalent: `nft add rule ip ctsim-… prerouting ip daddr … tcp dport … meta nftrace set 1`, and output likewise.
func (w *Watcher) Trace(matches ...Match) error {
	orders, err := replaceRules(w.table, matches)
	if err == nil {
		w.orders.Lock()
		defer w.orders.Unlock()
		err = w.control.apply(orders)
	}
	if err != nil {
		return fmt.Errorf("choose packets to trace in %s: %w", w.ns.Name(), err)
	}
	return nil
}

// Learn takes the text of the namespace's rules, as iptables-save prints it now, for the hops of the paths: what was read
// before keeps the text learnt before, if there was one. So call it when the rules are in place, and again as soon as they
// have changed, before the next packet. The error matches [ErrRulesDiffer] if the text is of other rules; nothing is
// learnt then.
func (w *Watcher) Learn(save string) error {
	texts, err := w.readRules(save)
	if err != nil {
		return fmt.Errorf("learn the rules of %s: %w", w.ns.Name(), err)
	}
	if err := w.Drain(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.trace.paths {
		w.texts.resolve(p.Hops)
	}
	w.texts = texts
	return nil
}

func (w *Watcher) readRules(save string) (book, error) {
	w.orders.Lock()
	defer w.orders.Unlock()
	h, err := w.control.handles()
	if err != nil {
		return nil, err
	}
	return pair(h, parseSave(save))
}

// take takes in one datagram.
func (w *Watcher) take(datagram []byte) error {
	messages, err := decode(datagram)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		w.trace.add(m, now)
	}
	return err
}

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
func (w *Watcher) Drain() error { return w.wrap(w.group.Drain()) }

// Lost is 0 if every hop of every traced packet is in its path. Otherwise it is how many messages are missing: the kernel
// could not put them into the full buffer (sk_drops), they could not be decoded, or they came when 65,536 paths were
// waiting for Paths. A path may then lack hops, and say so nowhere.
func (w *Watcher) Lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.group.Lost() + w.trace.left
}

// Close ends the tracing and takes its table away. It gives the first error of the watcher; paths that are not yet taken
// still can be. Closing twice is harmless and gives the same error. The kernel lets a table's socket go only after an RCU
// grace period, 5 to 25 ms: close the watchers of several nodes side by side.
func (w *Watcher) Close() error {
	w.once.Do(func() {
		w.orders.Lock()
		defer w.orders.Unlock()
		if !w.owned {
			if err := w.control.apply(deleteTable(w.table)); err != nil {
				w.left = fmt.Errorf("delete table %s: %w", w.table, err)
			}
		}
		w.release()
	})
	if err := w.Drain(); err != nil {
		return err
	}
	return w.wrap(w.left)
}

// release closes what is open.
func (w *Watcher) release() {
	if w.group != nil {
		_ = w.group.Close() // gives an error that Drain gives too
	}
	if w.control != nil {
		_ = w.control.close()
	}
}

func (w *Watcher) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("traces of %s: %w", w.ns.Name(), err)
}
