package kernel

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

// patience is how long a test waits for a fact before it calls the kernel dead.
const patience = 30 * time.Second

// newPod gives a namespace whose loopback is up: all that these tests need of a world.
func newPod(t testing.TB, name string) *topology.Namespace {
	t.Helper()
	ns, err := topology.NewNamespace(name)
	if err != nil {
		cannot(t, err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := ns.Do(exec.Command("ip", "link", "set", "lo", "up").Run); err != nil {
		t.Fatalf("ip link set lo up: %v", err)
	}
	return ns
}

// cannot skips a test that this machine cannot run, or fails it.
func cannot(t testing.TB, err error) {
	t.Helper()
	kerneltest.Cannot(t, "root and a kernel with BPF and BTF", err)
}

// needTrace skips a test where the kernel cannot be watched. In a user namespace that is right whatever the machine can
// do, so there the test is that Watch says so.
func needTrace(t testing.TB) {
	t.Helper()
	w, err := Watch(func(Event) {})
	if err == nil {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var missing *Unavailable
	switch {
	case inUserNamespace(t):
		if !errors.As(err, &missing) {
			t.Fatalf("in a user namespace Watch gave %v, want *Unavailable", err)
		}
		t.Skipf("in a user namespace, as it should be: %v", err)
	case errors.As(err, &missing):
		cannot(t, err)
	case err != nil:
		t.Fatal(err)
	}
}

func inUserNamespace(t testing.TB) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// watchEvents watches until the test ends. What it gives drains the watcher and returns all events up to then.
func watchEvents(t testing.TB, namespaces ...*topology.Namespace) (*Watcher, func() []Event) {
	t.Helper()
	return watchTypes(t, nil, namespaces...)
}

// watchTypes is watchEvents for a kernel that has what change leaves of this one's types.
func watchTypes(t testing.TB, change func(*types), namespaces ...*topology.Namespace) (*Watcher, func() []Event) {
	t.Helper()
	kernel, err := loadTypes()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(kernel)
	}
	var mu sync.Mutex
	var events []Event
	w, err := watch(kernel, func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}, namespaces)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, func() []Event {
		t.Helper()
		if err := w.Drain(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		return append([]Event(nil), events...)
	}
}

func ofKind(events []Event, kind Kind) []Event {
	var found []Event
	for _, e := range events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// listenIn gives a listener on the namespace's loopback.
func listenIn(t testing.TB, ns *topology.Namespace, address string) *net.TCPListener {
	t.Helper()
	var l net.Listener
	err := ns.Do(func() (err error) {
		// Without MultipathTCP, which is Go's default for listeners.
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		l, err = config.Listen(t.Context(), "tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// resetClient connects, lets the server close with a RST (SO_LINGER 0) and returns the client's addresses, own and peer,
// once its read has failed with ECONNRESET: by then the kernel has reported everything.
func resetClient(t testing.TB, ns *topology.Namespace, address string) (own, peer netip.AddrPort) {
	t.Helper()
	l := listenIn(t, ns, address)
	var client net.Conn
	err := ns.Do(func() (err error) {
		client, err = net.Dial("tcp", l.Addr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.SetLinger(0), server.Close(), client.SetDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read gave %v, want ECONNRESET", err)
	}
	return addrPort(client.LocalAddr()), addrPort(client.RemoteAddr())
}

// injector puts TCP packets on the wire of a namespace, past any socket, and sees those that arrive there.
type injector struct{ send, receive int }

// newInjector makes an injector for packets to the local address 127.0.0.1.
func newInjector(t testing.TB, ns *topology.Namespace) *injector {
	t.Helper()
	i := &injector{send: -1, receive: -1}
	t.Cleanup(func() { _, _ = unix.Close(i.send), unix.Close(i.receive) })
	err := ns.Do(func() (err error) {
		if i.send, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		i.receive, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(i.receive, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return i
}

// ack sends an ACK of no connection.
func (i *injector) ack(t testing.TB, src, dst netip.AddrPort) {
	t.Helper()
	ip := &layers.IPv4{
		Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP,
		SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice(),
	}
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: 1000, Ack: 2000, ACK: true,
		Window: 1024,
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, ip, tcp); err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendto(i.send, buffer.Bytes(), 0, &unix.SockaddrInet4{Addr: dst.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
}

// awaitReset returns when a RST from src to dst has arrived.
func (i *injector) awaitReset(t testing.TB, src, dst netip.AddrPort) {
	t.Helper()
	buffer := make([]byte, 1<<16)
	for {
		n, err := unix.Read(i.receive, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("wait for a RST from %s to %s: %v", src, dst, err)
		}
		packet := gopacket.NewPacket(buffer[:n], layers.LayerTypeIPv4, gopacket.Default)
		tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if ok && tcp.RST && uint16(tcp.SrcPort) == src.Port() && uint16(tcp.DstPort) == dst.Port() {
			return
		}
	}
}

// exchange is a connection with data both ways that both ends close in peace.
func exchange(t testing.TB, ns *topology.Namespace) {
	t.Helper()
	l := listenIn(t, ns, "127.0.0.1:0")
	served := make(chan error, 1)
	go func() {
		server, err := l.AcceptTCP()
		if err == nil {
			_, err = io.Copy(server, server)
			err = errors.Join(err, server.Close())
		}
		served <- err
	}()
	err := ns.Do(func() error {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			return err
		}
		if err := client.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		_, err = io.ReadAll(client)
		return errors.Join(err, client.Close(), <-served)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func kernelTypes(t testing.TB) *types {
	t.Helper()
	kernel, err := loadTypes()
	if err != nil {
		t.Fatal(err)
	}
	return kernel
}
