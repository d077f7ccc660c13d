package socket

import (
	"errors"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

// newNamespace gives a namespace with its loopback up and a link on which nobody answers:
//
//	127.0.0.0/8 lo    10.9.0.1/24 nowhere ══ beyond
//
// Without the privileges the test is skipped, or fails if CTSIM_REQUIRE_KERNEL=1.
func newNamespace(t testing.TB) *topology.Namespace {
	t.Helper()
	ns, err := topology.NewNamespace("pod")
	if err != nil {
		kerneltest.Cannot(t, "root or a user namespace", err)
	}
	kerneltest.UntilEnd(t, ns)
	kerneltest.Output(t, ns, "ip", "link", "set", "lo", "up")
	kerneltest.Output(t, ns, "ip", "link", "add", "nowhere", "type", "veth", "peer", "name", "beyond")
	kerneltest.Output(t, ns, "ip", "address", "add", "10.9.0.1/24", "dev", "nowhere")
	kerneltest.Output(t, ns, "ip", "link", "set", "nowhere", "up")
	kerneltest.Output(t, ns, "ip", "link", "set", "beyond", "up")
	kerneltest.Output(t, ns, "ip", "neighbour", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "nowhere")
	return ns
}

// hasNetstat tells whether net-tools is installed, which the recording stands in for where it is not.
func hasNetstat(t testing.TB) bool {
	t.Helper()
	_, err := exec.LookPath("netstat")
	if err != nil {
		t.Log("netstat (net-tools) is not installed: not compared with it")
	}
	return err == nil
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newSocket makes a TCP socket in ns that is closed at the end of the test.
func newSocket(t testing.TB, ns *topology.Namespace, family int) int {
	t.Helper()
	fd := -1
	check(t, ns.Do(func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	timeout := unix.NsecToTimeval(int64(20 * time.Second))
	check(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	return fd
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func localAddr(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	name, err := unix.Getsockname(fd)
	check(t, err)
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(n.Addr), uint16(n.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(n.Addr), uint16(n.Port))
	}
	t.Fatalf("address %T", name)
	return netip.AddrPort{}
}

// serve listens with room for 16 waiting connections.
func serve(t testing.TB, ns *topology.Namespace, at string) (fd int, addr netip.AddrPort) {
	t.Helper()
	addr = netip.MustParseAddrPort(at)
	fd = newSocket(t, ns, family(addr))
	check(t, unix.Bind(fd, sockaddr(addr)))
	check(t, unix.Listen(fd, 16))
	return fd, addr
}

// connection is both ends of one.
type connection struct {
	client, server int
	from, to       netip.AddrPort
}

func connect(t testing.TB, ns *topology.Namespace, listener int, to netip.AddrPort) connection {
	t.Helper()
	c := connection{client: newSocket(t, ns, family(to)), to: to}
	check(t, unix.Connect(c.client, sockaddr(to)))
	c.from = localAddr(t, c.client)
	var err error
	c.server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	check(t, err)
	t.Cleanup(func() { _ = unix.Close(c.server) })
	return c
}

func open(t testing.TB, ns *topology.Namespace) *Reader {
	t.Helper()
	r, err := Open(ns)
	check(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// waitFor asks for the socket until it is as wanted.
func waitFor(t testing.TB, r *Reader, local, remote netip.AddrPort, wanted func(Socket) bool) Socket {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := r.Get(local, remote)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if err == nil && wanted(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, %v", local, s, err)
		}
	}
}
