package nlgroup_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/nlgroup"
	"github.com/ctsim/ctsim/topology"
)

// newNamespace needs the privileges; without them the test is skipped, or fails if CTSIM_REQUIRE_KERNEL=1.
func newNamespace(t *testing.T) *topology.Namespace {
	t.Helper()
	ns, err := topology.NewNamespace("node")
	if err != nil {
		kerneltest.Cannot(t, "root or a user namespace", err)
	}
	kerneltest.UntilEnd(t, ns)
	return ns
}

var news = nlgroup.Options{Groups: []int{unix.NFNLGRP_CONNTRACK_NEW}, Buffer: 1 << 20}

// create makes n entries, each of which is one datagram of the group.
func create(t *testing.T, ns *topology.Namespace, n int) {
	t.Helper()
	entries := make([]conntrack.Entry, n)
	for i := range entries {
		entries[i] = conntrack.Entry{Timeout: time.Minute, Original: conntrack.NewTuple(conntrack.ProtocolUDP,
			netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)), netip.MustParseAddrPort("192.0.2.2:2"))}
	}
	check(t, conntrack.Create(ns, entries...))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernelDrain(t *testing.T) {
	ns := newNamespace(t)
	n := 0
	l, err := nlgroup.Join(ns, news, func([]byte) error { n++; return nil })
	check(t, err)
	create(t, ns, 100)
	check(t, l.Drain())
	if n != 100 || l.Lost() != 0 || l.Overruns() != 0 || l.Closed() {
		t.Errorf("%d datagrams, lost %d, overruns %d, closed %t", n, l.Lost(), l.Overruns(), l.Closed())
	}
	check(t, l.Close())
	check(t, l.Close())
	check(t, l.Drain())
	if !l.Closed() {
		t.Error("not closed after Close")
	}
}

// A datagram that the handler cannot take in counts as lost, and its error is the listener's.
func TestKernelUnread(t *testing.T) {
	ns := newNamespace(t)
	first, second := errors.New("first"), errors.New("second")
	n := 0
	l, err := nlgroup.Join(ns, news, func([]byte) error {
		n++
		return map[int]error{2: first, 3: second}[n]
	})
	check(t, err)
	create(t, ns, 4)
	if err := l.Drain(); !errors.Is(err, first) {
		t.Errorf("got %v, want the first error", err)
	}
	if n != 4 || l.Lost() != 2 || l.Refused() != 0 {
		t.Errorf("%d datagrams, lost %d, refused %d; want 4, 2, 0", n, l.Lost(), l.Refused())
	}
	if err := l.Close(); !errors.Is(err, first) || l.Lost() != 2 {
		t.Errorf("got %v, lost %d after Close", err, l.Lost())
	}
}

// What does not fit into the buffer counts as lost, and is remembered after Close.
func TestKernelRefused(t *testing.T) {
	ns := newNamespace(t)
	small := news
	small.Buffer = 4 << 10
	hold := make(chan struct{})
	l, err := nlgroup.Join(ns, small, func([]byte) error { <-hold; return nil })
	check(t, err)
	create(t, ns, 500)
	close(hold)
	check(t, l.Drain())
	lost := l.Lost()
	if lost == 0 || int64(lost) != l.Refused() || l.Overruns() == 0 {
		t.Errorf("lost %d, refused %d, overruns %d with a buffer of %d bytes", lost, l.Refused(), l.Overruns(), l.Buffer())
	}
	check(t, l.Close())
	if l.Lost() != lost {
		t.Errorf("lost %d before Close, %d after", lost, l.Lost())
	}
}

func TestKernelJoinLeavesNothing(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		check(t, err)
		return len(files)
	}
	ns := newNamespace(t)
	before := open()
	l, err := nlgroup.Join(ns, news, func([]byte) error { return nil })
	check(t, err)
	check(t, l.Close())
	closed, err := topology.NewNamespace("closed")
	check(t, err)
	check(t, closed.Close())
	if _, err := nlgroup.Join(closed, news, func([]byte) error { return nil }); !errors.Is(err, topology.ErrClosed) {
		t.Errorf("got %v, want topology.ErrClosed", err)
	}
	if after := open(); after != before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}
