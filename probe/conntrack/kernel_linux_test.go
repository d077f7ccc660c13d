package conntrack

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

// newWorld gives the namespace with tracking switched on and the service translated to the first backend. Without the
// privileges the test is skipped, or fails if CTSIM_REQUIRE_KERNEL=1.
func newWorld(t testing.TB) *topology.Namespace {
	t.Helper()
	ns, err := topology.NewNamespace("node")
	if err != nil {
		kerneltest.Cannot(t, "root or a user namespace", err)
	}
	kerneltest.UntilEnd(t, ns)
	kerneltest.Output(t, ns, "ip", "link", "set", "lo", "up")
	kerneltest.Output(t, ns, "iptables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
	translateTo(t, ns, backends[0])
	return ns
}

// translateTo makes backend the only one that new connections to the service are sent to.
func translateTo(t testing.TB, ns *topology.Namespace, backend netip.AddrPort) {
	t.Helper()
	kerneltest.Output(t, ns, "iptables", "-w", "-t", "nat", "-F", "OUTPUT")
	kerneltest.Output(t, ns, "iptables", "-w", "-t", "nat", "-A", "OUTPUT", "-d", serviceAddr.Addr().String(), "-p", "tcp",
		"--dport", "2222", "-j", "DNAT", "--to-destination", backend.String())
}

// recorder keeps the events it is given.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// listenTo listens until the end of the test.
func listenTo(t testing.TB, ns *topology.Namespace, r *recorder) *Listener {
	t.Helper()
	l, err := Listen(ns, r.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// drained gives the events of one flow, by its original tuple, after everything sent so far was handled.
func drained(t testing.TB, l *Listener, r *recorder, flow Tuple) []Event {
	t.Helper()
	if err := l.Drain(); err != nil {
		t.Fatal(err)
	}
	if n := l.Lost(); n != 0 {
		t.Fatalf("lost %d events", n)
	}
	var events []Event
	for _, e := range r.all() {
		if e.Original == flow {
			events = append(events, e)
		}
	}
	return events
}

// socket makes a socket in ns that is closed at the end of the test.
func socket(t testing.TB, ns *topology.Namespace, kind, protocol int) int {
	t.Helper()
	fd := -1
	err := ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	timeout := unix.NsecToTimeval(int64(20 * time.Second))
	check(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	check(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout))
	return fd
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// serve listens on a backend's address.
func serve(t testing.TB, ns *topology.Namespace, addr netip.AddrPort) (fd int) {
	t.Helper()
	fd = socket(t, ns, unix.SOCK_STREAM, 0)
	check(t, unix.Bind(fd, sockaddr(addr)))
	check(t, unix.Listen(fd, 16))
	return fd
}

// connection is a TCP connection through the service.
type connection struct {
	client, server int
	flow           Tuple
}

// connect opens a connection through the service to the backend that listens on fd listener.
func connect(t testing.TB, ns *topology.Namespace, listener int) connection {
	t.Helper()
	c := connection{client: socket(t, ns, unix.SOCK_STREAM, 0)}
	check(t, unix.Connect(c.client, sockaddr(serviceAddr)))
	local, err := unix.Getsockname(c.client)
	check(t, err)
	c.flow = NewTuple(ProtocolTCP,
		netip.AddrPortFrom(clientAddr, uint16(local.(*unix.SockaddrInet4).Port)), serviceAddr)
	c.server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	check(t, err)
	t.Cleanup(func() { _ = unix.Close(c.server) })
	return c
}

// send sends ten bytes and waits for them at the other end.
func (c connection) send(t testing.TB) {
	t.Helper()
	if _, err := unix.Write(c.client, []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	n, err := unix.Read(c.server, buf)
	if err != nil || n != 10 {
		t.Fatalf("server read %d bytes: %v", n, err)
	}
}
