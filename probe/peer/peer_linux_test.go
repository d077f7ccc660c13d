package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

func TestMessage(t *testing.T) {
	for _, want := range [][2]int{{0, 0}, {1, 2}, {9999, 99999}} {
		b := Message(want[0], want[1])
		c, n, ok := ParseMessage(b)
		if len(b) != MessageSize || !ok || c != want[0] || n != want[1] {
			t.Errorf("Message(%v) = %q, parsed as %d, %d, %v", want, b, c, n, ok)
		}
	}
	for _, bad := range []string{"", "0001", "0001-00002", "x001.00002", "0001.0000x", "0001.000022"} {
		if _, _, ok := ParseMessage([]byte(bad)); ok {
			t.Errorf("ParseMessage(%q) succeeded", bad)
		}
	}
}

func TestErrno(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "ECONNRESET": syscall.ECONNRESET, "EPIPE": &os.SyscallError{Syscall: "write", Err: syscall.EPIPE},
		"ETIMEDOUT": os.ErrDeadlineExceeded, "odd": errors.New("odd"),
	} {
		if got := Errno(err); got != want {
			t.Errorf("Errno(%v) = %q, want %q", err, got, want)
		}
	}
}

// reports collects what both sides tell and lets a test wait for one of them.
type reports struct {
	mu   sync.Mutex
	all  []Report
	more chan struct{}
}

func newReports() *reports { return &reports{more: make(chan struct{}, 1000)} }

func (r *reports) add(one Report) {
	r.mu.Lock()
	r.all = append(r.all, one)
	r.mu.Unlock()
	r.more <- struct{}{}
}

func (r *reports) wait(t *testing.T, what func(Report) bool) Report {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		for _, one := range r.all {
			if what(one) {
				r.mu.Unlock()
				return one
			}
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("never reported; seen: %+v", r.all)
		}
	}
}

var here = netip.MustParseAddrPort("127.0.0.1:0")

func loopback(t *testing.T) *topology.Namespace {
	t.Helper()
	kerneltest.Need(t)
	ns, err := topology.NewNamespace("pod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	err = ns.Do(func() error {
		lo, missing := netlink.LinkByName("lo")
		if missing != nil {
			return missing
		}
		return netlink.LinkSetUp(lo)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func sockopt(t *testing.T, c *Conn, level, name int) int {
	t.Helper()
	raw, err := c.socket.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	v, cerr := 0, error(nil)
	if err := raw.Control(func(fd uintptr) { v, cerr = unix.GetsockoptInt(int(fd), level, name) }); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return v
}

// The plain socket has no keepalive on either side; what is asked for is what the kernel has.
func TestKernelSocketOptions(t *testing.T) {
	ns := loopback(t)
	set := SocketOptions{KeepAlive: true, KeepIdle: 60 * time.Second, KeepInterval: 3 * time.Second, KeepCount: 4,
		UserTimeout: 1500 * time.Millisecond}
	for i, o := range []SocketOptions{{}, set} {
		address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(2222+i))
		got := newReports()
		l, err := Serve(ns, address, o, got.add)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := Dial(context.Background(), ns, TCP, 7, here, address, o, got.add)
		if err != nil {
			t.Fatal(err)
		}
		got.wait(t, func(r Report) bool { return r.Call == Accept })
		for _, c := range []*Conn{c, l.Conns()[0]} {
			have := SocketOptions{
				KeepAlive:    sockopt(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0,
				KeepIdle:     time.Duration(sockopt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)) * time.Second,
				KeepInterval: time.Duration(sockopt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)) * time.Second,
				KeepCount:    sockopt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
				UserTimeout:  time.Duration(sockopt(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)) * time.Millisecond,
			}
			want := o
			if !o.KeepAlive {
				want.KeepIdle, want.KeepInterval, want.KeepCount = 7200*time.Second, 75*time.Second, 9
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("%s: %s", c.side, diff)
			}
			if p := sockopt(t, c, unix.SOL_SOCKET, unix.SO_PROTOCOL); p != unix.IPPROTO_TCP {
				t.Errorf("%s: protocol %d, want plain TCP", c.side, p)
			}
		}
		c.Abandon()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The article's ending: the peer resets, the client's next send fails with ECONNRESET, the one after with EPIPE.
func TestKernelResetIsMetByTheNextSend(t *testing.T) {
	ns := loopback(t)
	address := netip.MustParseAddrPort("127.0.0.1:2222")
	got := newReports()
	l, err := Serve(ns, address, SocketOptions{}, got.add)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := Dial(context.Background(), ns, TCP, 7, here, address, SocketOptions{}, got.add)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(Message(7, 1)); err != nil {
		t.Fatal(err)
	}
	r := got.wait(t, func(r Report) bool { return r.Side == Server && r.Call == Recv })
	if r.Connection != 7 || string(r.Data) != "0007.00001" || l.Conn(7) == nil {
		t.Errorf("server received %+v", r)
	}
	if err := l.Close(); err != nil { // resets what it had accepted
		t.Fatal(err)
	}
	for {
		s, err := c.State()
		if err != nil {
			t.Fatal(err)
		}
		if s.Closed() {
			break
		}
	}
	if err := c.Send(Message(7, 2)); Errno(err) != "ECONNRESET" {
		t.Errorf("first send after the reset: %v, want ECONNRESET", err)
	}
	if err := c.Send(Message(7, 3)); Errno(err) != "EPIPE" {
		t.Errorf("second send after the reset: %v, want EPIPE", err)
	}
	if _, local, err := Dial(context.Background(), ns, TCP, 8, here, address, SocketOptions{}, got.add); Errno(err) != "ECONNREFUSED" || local.Port() == 0 {
		t.Errorf("nobody listens: %v, want ECONNREFUSED", err)
	}
}
