package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

// TestKernelTimeLeft looks before and after netstat: its time must lie between.
func TestKernelTimeLeft(t *testing.T) {
	ns := newNamespace(t)
	if !hasNetstat(t) {
		return
	}
	r := open(t, ns)
	listener, addr := serve(t, ns, "127.0.0.2:2222")
	c := connect(t, ns, listener, addr)
	check(t, unix.SetsockoptInt(c.client, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 75))
	check(t, unix.SetsockoptInt(c.client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	before, err := r.Get(c.from, c.to)
	check(t, err)
	var theirs float64
	for l := range strings.Lines(kerneltest.Output(t, ns, "netstat", "-tn", "--timers")) {
		if _, timer, ok := strings.Cut(l, "keepalive ("); ok {
			if _, err := fmt.Sscanf(timer, "%f/0/0)", &theirs); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := r.Get(c.from, c.to)
	check(t, err)
	const tick = 10 * time.Millisecond // netstat's precision
	left := time.Duration(theirs * float64(time.Second))
	if left > before.Timer.Expires+tick || left < after.Timer.Expires-tick || before.Timer.Kind != Keepalive {
		t.Errorf("netstat %s, before %+v, after %+v", left, before.Timer, after.Timer)
	}
}

// TestKernelRetransmission takes the road away: what is sent stays unacknowledged and is sent again.
func TestKernelRetransmission(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns)
	listener, addr := serve(t, ns, "127.0.0.2:2222")
	c := connect(t, ns, listener, addr)
	kerneltest.Output(t, ns, "ip", "link", "set", "lo", "down")
	if _, err := unix.Write(c.client, []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	s := waitFor(t, r, c.from, c.to, func(s Socket) bool {
		return s.Timer.Kind == Retransmit && s.SendQueue == 10 && s.Timer.Expires > 0
	})
	if s.Info.RTO <= 0 || s.Info.RTO < s.Timer.Expires/2 {
		t.Errorf("RTO %s, %+v", s.Info.RTO, s.Timer)
	}
}

func TestKernelGet(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns)
	for _, at := range []string{"127.0.0.2:2222", "[::1]:2222"} {
		listener, addr := serve(t, ns, at)
		c := connect(t, ns, listener, addr)
		for _, ends := range [][2]netip.AddrPort{{c.from, c.to}, {c.to, c.from}} {
			s, err := r.Get(ends[0], ends[1])
			if err != nil || s.State != Established || s.Local != ends[0] || s.Remote != ends[1] || s.Inode == 0 {
				t.Errorf("%v: %v, %v", ends, s, err)
			}
		}
		anybody := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		if addr.Addr().Is6() {
			anybody = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		}
		if s, err := r.Get(addr, anybody); err != nil || s.State != Listening {
			t.Errorf("%s: %v, %v", addr, s, err)
		}
		// The listening socket must not stand in for a connection that is not there.
		if s, err := r.Get(addr, netip.AddrPortFrom(c.from.Addr(), 1)); !errors.Is(err, ErrNotFound) {
			t.Errorf("no connection: %v, %v", s, err)
		}
	}
	if _, err := r.Get(netip.AddrPort{}, netip.AddrPort{}); err == nil {
		t.Error("no address: no error")
	}
}

func TestKernelGetIPv4OnIPv6Socket(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns)
	listener, _ := serve(t, ns, "[::]:2222")
	c := connect(t, ns, listener, netip.MustParseAddrPort("127.0.0.2:2222"))
	s, err := r.Get(c.to, c.from)
	if err != nil || !s.Remote.Addr().Is4In6() || unmap(s.Remote) != c.from {
		t.Errorf("%v, %v", s, err)
	}
}

// TestKernelAnswerGivenUp leaves the rest of an answer unread; the next question must not get it.
func TestKernelAnswerGivenUp(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns)
	listener, addr := serve(t, ns, "127.0.0.2:2222")
	c := connect(t, ns, listener, addr)
	check(t, unix.Sendto(r.fd, dumpRequest(0), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	s, err := r.Get(c.from, c.to)
	if err != nil || s.Local != c.from {
		t.Errorf("%v, %v", s, err)
	}
}

func TestKernelReaderSideBySide(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns)
	serve(t, ns, "127.0.0.2:2222")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if sockets, err := r.List(); err != nil || len(sockets) != 1 {
					t.Errorf("%v, %v", sockets, err)
				}
			}
		})
	}
	wg.Wait()
	check(t, r.Close())
	check(t, r.Close())
	if _, err := r.List(); !errors.Is(err, unix.EBADF) {
		t.Errorf("closed: %v", err)
	}
}

func TestKernelClosedNamespace(t *testing.T) {
	ns := newNamespace(t)
	check(t, ns.Close())
	if _, err := List(ns); !errors.Is(err, topology.ErrClosed) {
		t.Error(err)
	}
}

// BenchmarkKernelList lists a namespace with few sockets and one with 18,000, of which the server's half was never
// accepted and so needs no descriptor.
func BenchmarkKernelList(b *testing.B) {
	for _, connections := range []int{2, 9000} {
		ns := newNamespace(b)
		check(b, ns.SetSysctl("net.core.somaxconn", "65535"))
		listener, addr := serve(b, ns, "127.0.0.2:2222")
		check(b, unix.Listen(listener, 65535))
		for range connections {
			check(b, unix.Connect(newSocket(b, ns, unix.AF_INET), sockaddr(addr)))
		}
		r := open(b, ns)
		run := func(name string, list func() ([]Socket, error)) {
			b.Run(fmt.Sprintf("%s/%d", name, 2*connections+1), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if s, err := list(); err != nil || len(s) != 2*connections+1 {
						b.Fatal(len(s), err)
					}
				}
			})
		}
		run("Reader", r.List)
		run("List", func() ([]Socket, error) { return List(ns) })
		b.Run(fmt.Sprintf("Get/%d", 2*connections+1), func(b *testing.B) {
			all, err := r.List()
			check(b, err)
			for b.Loop() {
				if _, err := r.Get(all[0].Local, all[0].Remote); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
