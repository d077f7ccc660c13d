package packet

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// pair is two namespaces joined by a wire:
//
//	client eth0 10.0.0.1/24 ── 10.0.0.2/24 eth0 server
type pair struct{ client, server *topology.Namespace }

const (
	clientAddress = "10.0.0.1"
	serverAddress = "10.0.0.2"
)

// newPair builds the two namespaces. Without the privilege to, it skips the test, or fails it when
// CTSIM_REQUIRE_KERNEL=1 says that this machine must be able to.
func newPair(t *testing.T) pair {
	t.Helper()
	p := pair{client: newNamespace(t, "client"), server: newNamespace(t, "server")}
	// Both ends are made inside namespaces: the one the test runs in is never touched.
	err := p.client.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth0"
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(p.server.Fd()),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for ns, address := range map[*topology.Namespace]string{p.client: clientAddress, p.server: serverAddress} {
		if err := ns.Do(func() error { return configureEnd(address) }); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func newNamespace(t *testing.T, name string) *topology.Namespace {
	t.Helper()
	ns, err := topology.NewNamespace(name)
	if errors.Is(err, unix.EPERM) && os.Getenv("CTSIM_REQUIRE_KERNEL") != "1" {
		t.Skipf("needs root or a user namespace (unshare -Urn): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func configureEnd(address string) error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, a); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// collector is a handler that keeps what it gets.
type collector struct {
	mu      sync.Mutex
	packets []Packet
}

func (c *collector) add(p Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets = append(c.packets, p)
}

// all gives the packets so far.
func (c *collector) all() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

func listen(t *testing.T, ns *topology.Namespace) int {
	return socket(t, ns, unix.SOCK_STREAM, func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 2222}); err != nil {
			return err
		}
		return unix.Listen(fd, 8)
	})
}

func connect(t *testing.T, ns *topology.Namespace) int {
	return socket(t, ns, unix.SOCK_STREAM, func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 40000}); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrInet4{Port: 2222, Addr: netip.MustParseAddr(serverAddress).As4()})
	})
}

// socket makes a socket in a namespace that is closed with the test. It waits at most ten seconds for anything.
func socket(t *testing.T, ns *topology.Namespace, kind int, prepare func(fd int) error) int {
	t.Helper()
	fd := -1
	err := ns.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		limit := unix.Timeval{Sec: 10}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return err
		}
		// Acknowledge at once, so that the same packets flow every time.
		if kind == unix.SOCK_STREAM {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1); err != nil {
				return err
			}
		}
		return prepare(fd)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// datagrams sends count numbered datagrams from the client's port 40000 to the server's 53, where each is read before
// the next is sent, and closes nothing.
func datagrams(t *testing.T, p pair) (send func(count int)) {
	t.Helper()
	server := socket(t, p.server, unix.SOCK_DGRAM, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: 53})
	})
	client := socket(t, p.client, unix.SOCK_DGRAM, func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 40000}); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrInet4{Port: 53, Addr: netip.MustParseAddr(serverAddress).As4()})
	})
	return func(count int) {
		t.Helper()
		var b [8]byte
		for i := range count {
			binary.BigEndian.PutUint64(b[:], uint64(i))
			if _, err := unix.Write(client, b[:]); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Read(server, b[:]); err != nil {
				t.Fatalf("datagram %d was lost: %v", i, err)
			}
		}
	}
}

// experimental is the protocol number for experiments of RFC 3692.
const experimental = 253

// sendFrame puts a frame with a bare IPv4 header of the experimental protocol on the wire at ns.
func sendFrame(t *testing.T, ns *topology.Namespace, to net.HardwareAddr, ethertype uint16) {
	t.Helper()
	frame := make([]byte, 60)
	copy(frame, to)
	copy(frame[6:], []byte{2, 0, 0, 0, 0, 1})
	binary.BigEndian.PutUint16(frame[12:], ethertype)
	copy(frame[14:], []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 1, experimental, 0, 0, 10, 0, 0, 9, 10, 0, 0, 2})
	err := ns.Do(func() error {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func setLink(t *testing.T, ns *topology.Namespace, set func(netlink.Link) error) {
	t.Helper()
	err := ns.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return set(link)
	})
	if err != nil {
		t.Fatal(err)
	}
}
