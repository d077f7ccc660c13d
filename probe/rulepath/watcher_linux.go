package rulepath

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// listenBuffer is asked for as the socket's receive buffer: room for the messages of some thousand packets.
const listenBuffer = 32 << 20

// Watcher follows packets of one namespace through its rules. Make one with [Watch]. Its methods may be called from any
// goroutine.
type Watcher struct {
	ns     *topology.Namespace
	fd     int
	wake   int // eventfd: somebody waits in Drain, or Close was called
	buffer int
	table  string
	ended  chan struct{}
	unread atomic.Int64 // messages that could not be decoded

	orders  sync.Mutex // guards control
	control *control

	mu      sync.Mutex
	trace   assembler
	texts   book
	waiting []chan struct{}
	closing bool
	refused int64 // sk_drops, kept when the socket is closed
	err     error
	once    sync.Once
}

// Watch listens to the traces of a namespace. It traces nothing by itself: see [Watcher.Trace]. Others who trace packets
// there, iptables' TRACE target for instance, are heard too. Close it before ns is closed.
//
// It needs CAP_NET_ADMIN over the namespace, and nf_tables in the kernel. Equivalent: `nft monitor trace`.
func Watch(ns *topology.Namespace) (*Watcher, error) { return watch(ns, listenBuffer, tableOwner) }

// watch lets a test ask for a small buffer and for a table without an owner, which is all that kernels before 5.12 have.
func watch(ns *topology.Namespace, buffer int, flags uint32) (_ *Watcher, err error) {
	w := &Watcher{ns: ns, fd: -1, wake: -1, texts: book{}, ended: make(chan struct{})}
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
	if err = ns.Do(func() error { return w.listen(buffer) }); err != nil {
		return nil, err
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err = w.createTable(flags); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// createTable makes the table that marks packets. An owner makes it go with the socket, even after SIGKILL.
func (w *Watcher) createTable(flags uint32) error {
	err := w.control.apply(createTable(w.table, flags))
	if flags != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		err = w.control.apply(createTable(w.table, 0))
	}
	if err != nil {
		return fmt.Errorf("nf_tables table %s: %w", w.table, err)
	}
	return nil
}

// listen makes the socket for traces; it runs inside the namespace.
func (w *Watcher) listen(buffer int) (err error) {
	w.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		// Without privileges over the machine: what net.core.rmem_max allows, and Lost says if that was too little.
		if err := unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if w.buffer, err = unix.GetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return fmt.Errorf("SO_RCVBUF: %w", err)
	}
	if err := unix.Bind(w.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (groupTrace - 1)}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// Buffer is the size of the receive buffer that the kernel granted, in bytes of its own accounting, twice the size asked
// for if it was granted in full. A message takes about 1,000.
func (w *Watcher) Buffer() int { return w.buffer }

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

// run reads until Close. Whoever waited before a round of reading began is told when the round has met the end.
func (w *Watcher) run() {
	defer close(w.ended)
	datagram := make([]byte, datagramSize)
	for {
		fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			w.fail(fmt.Errorf("poll: %w", err))
			return
		}
		waiting, closing := w.called()
		err := w.readAll(datagram)
		for _, c := range waiting {
			close(c)
		}
		if err != nil {
			w.fail(err)
			return
		}
		if closing {
			return
		}
	}
}

// readAll takes in datagrams until the socket is empty.
func (w *Watcher) readAll(datagram []byte) error {
	for {
		n, _, flags, from, err := unix.Recvmsg(w.fd, datagram, nil, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS): // sk_drops counts what is lost
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // only the kernel's word counts
		}
		if flags&unix.MSG_TRUNC != 0 {
			w.unread.Add(1)
			w.fail(fmt.Errorf("%w: datagram longer than %d bytes", ErrMalformed, len(datagram)))
			continue
		}
		w.take(datagram[:n])
	}
}

func (w *Watcher) take(datagram []byte) {
	messages, err := decode(datagram)
	if err != nil {
		w.unread.Add(1)
		w.fail(err)
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		w.trace.add(m, now)
	}
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fmt.Errorf("traces of %s: %w", w.ns.Name(), err)
	}
}
