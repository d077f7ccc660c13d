package socket

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
		if os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" {
			t.Fatalf("CTSIM_REQUIRE_KERNEL=1: %v", err)
		}
		t.Skipf("needs root or a user namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	command(t, ns, "ip", "link", "set", "lo", "up")
	command(t, ns, "ip", "link", "add", "nowhere", "type", "veth", "peer", "name", "beyond")
	command(t, ns, "ip", "address", "add", "10.9.0.1/24", "dev", "nowhere")
	command(t, ns, "ip", "link", "set", "nowhere", "up")
	command(t, ns, "ip", "link", "set", "beyond", "up")
	command(t, ns, "ip", "neighbour", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "nowhere")
	return ns
}

// command runs a program inside the namespace and gives its output.
func command(t testing.TB, ns *topology.Namespace, name string, args ...string) string {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
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
