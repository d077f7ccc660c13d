package packet

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

func watch(t *testing.T, handle func(Packet), at ...*topology.Namespace) *Capture {
	t.Helper()
	c := NewCapture(handle)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, ns := range at {
		if err := c.Add(ns, "eth0"); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func drain(t *testing.T, c *Capture) {
	t.Helper()
	if err := c.Drain(); err != nil {
		t.Fatal(err)
	}
}

// A connection is opened, ten bytes are sent, the server cuts it with a RST. The client has seen the RST when its read
// fails, so all packets have passed both ends by then.
func TestKernelConnectionWithReset(t *testing.T) {
	p := newPair(t)
	var got collector
	c := watch(t, got.add, p.client, p.server)
	begin := time.Now()
	resetOneConnection(t, p)
	drain(t, c)
	end := time.Now()

	packets := got.all()
	Sort(packets)
	var flows Flows
	lines := map[string][]string{}
	for i, packet := range packets {
		if packet.Time.Before(begin) || packet.Time.After(end) {
			t.Errorf("%s at %s: time %v is not between %v and %v", packet, packet.At, packet.Time, begin, end)
		}
		if packet.Length != len(packet.Data) || packet.Interface != "eth0" {
			t.Errorf("packet %d: %d of %d bytes on %q", i, len(packet.Data), packet.Length, packet.Interface)
		}
		packet = flows.Follow(packet)
		packet.Window = 0 // the kernel's choice
		lines[packet.At] = append(lines[packet.At], packet.Direction.String()+" "+packet.String())
	}
	want := []string{
		"out 10.0.0.1:40000 > 10.0.0.2:2222 [S] seq 0 win 0 len 0",
		"in 10.0.0.2:2222 > 10.0.0.1:40000 [S.] seq 0 ack 1 win 0 len 0",
		"out 10.0.0.1:40000 > 10.0.0.2:2222 [.] seq 1 ack 1 win 0 len 0",
		"out 10.0.0.1:40000 > 10.0.0.2:2222 [P.] seq 1:11 ack 1 win 0 len 10",
		"in 10.0.0.2:2222 > 10.0.0.1:40000 [.] seq 1 ack 11 win 0 len 0",
		"in 10.0.0.2:2222 > 10.0.0.1:40000 [R.] seq 1 ack 11 win 0 len 0",
	}
	if diff := cmp.Diff(want, lines["client"]); diff != "" {
		t.Errorf("at the client (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(mirror(want), lines["server"]); diff != "" {
		t.Errorf("at the server (-want +got):\n%s", diff)
	}
}

// mirror is what the other end sees: the same packets, in for out.
func mirror(lines []string) []string {
	var mirrored []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "out "); ok {
			mirrored = append(mirrored, "in "+rest)
		} else if rest, ok := strings.CutPrefix(line, "in "); ok {
			mirrored = append(mirrored, "out "+rest)
		}
	}
	return mirrored
}

// resetOneConnection connects from port 40000, sends ten bytes, lets the server read them and cut the connection.
func resetOneConnection(t *testing.T, p pair) {
	t.Helper()
	listener, client := listen(t, p.server), connect(t, p.client)
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(client, []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	var b [10]byte
	if n, err := unix.Read(server, b[:]); err != nil || n != 10 {
		t.Fatalf("server read %d bytes: %v", n, err)
	}
	// SO_LINGER with a time of 0: close sends a RST.
	if err := unix.SetsockoptLinger(server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(server); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Read(client, b[:]); !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("client read: %v, want ECONNRESET", err)
	}
}

// After Drain exactly the packets sent so far have been seen, at both ends, in order, again and again.
func TestKernelDrainIsABarrier(t *testing.T) {
	p := newPair(t)
	var got collector
	c := watch(t, got.add, p.client, p.server)
	send := datagrams(t, p)
	const rounds, each = 50, 20
	for round := 1; round <= rounds; round++ {
		send(each)
		drain(t, c)
		seen := map[string]int{}
		for _, packet := range got.all() {
			seen[packet.At+" "+packet.Direction.String()]++
		}
		want := map[string]int{"client out": round * each, "server in": round * each}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
	}
	last := map[string]time.Time{}
	for i, packet := range got.all() {
		if packet.Time.Before(last[packet.At]) {
			t.Fatalf("packet %d at %s is older than the one before it", i, packet.At)
		}
		last[packet.At] = packet.Time
	}
	if dropped, err := c.Dropped(); err != nil || len(dropped) != 0 {
		t.Errorf("Dropped() = %v, %v, want nothing", dropped, err)
	}
}

// A packet is stamped when it passes the interface, not when it is read, and that from the first packet on.
func TestKernelTimeIsThatOfArrival(t *testing.T) {
	p := newPair(t)
	send := datagrams(t, p)
	for range 10 {
		var got collector
		c := watch(t, got.add, p.client, p.server)
		begin := time.Now()
		c.mu.Lock() // nothing is read
		send(1)
		end := time.Now()
		c.mu.Unlock()
		drain(t, c)
		for _, packet := range got.all() {
			if packet.Protocol == UDP && (packet.Time.Before(begin) || packet.Time.After(end)) {
				t.Errorf("%s at %s: time %v is not between %v and %v", packet, packet.At, packet.Time, begin, end)
			}
		}
		// The next round finds timestamps switched off again, unless somebody else on this machine uses them.
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A handler that stands still while more arrives than the receive queue holds: what was lost is counted, to the packet.
func TestKernelDropsAreCounted(t *testing.T) {
	p := newPair(t)
	const sent = 500
	entered, release := make(chan struct{}), make(chan struct{})
	var got collector
	c := NewCapture(func(p Packet) {
		if len(got.all()) == 0 {
			close(entered)
			<-release
		}
		got.add(p)
	})
	c.receiveBuffer = 1 // the kernel raises it to its minimum, some 2 KiB
	if err := c.Add(p.server, "eth0"); err != nil {
		t.Fatal(err)
	}
	send := datagrams(t, p)
	send(1)
	<-entered
	send(sent - 1)
	close(release)
	drain(t, c)
	drops, err := c.Dropped()
	if err != nil {
		t.Fatal(err)
	}
	dropped, seen := drops["server"], len(got.all())
	if dropped == 0 || seen+dropped != sent {
		t.Errorf("saw %d and lost %d of %d packets", seen, dropped, sent)
	}
	again, err := c.Dropped()
	if diff := cmp.Diff(drops, again); err != nil || diff != "" {
		t.Errorf("Dropped() when asked again, error %v (-first +again):\n%s", err, diff)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	hops, err := c.Hops()
	want := []Hop{{At: "server", Interface: "eth0", Packets: seen, Dropped: dropped}}
	if diff := cmp.Diff(want, hops); diff != "" || err != nil {
		t.Errorf("Hops() after Close, error %v (-want +got):\n%s", err, diff)
	}
}

// Close hands over what waits, is idempotent and gives every descriptor back.
func TestKernelClose(t *testing.T) {
	p := newPair(t)
	send := datagrams(t, p)
	descriptors := openDescriptors(t)
	var got collector
	c := NewCapture(got.add)
	for _, ns := range []*topology.Namespace{p.client, p.server} {
		if err := c.Add(ns, "eth0"); err != nil {
			t.Fatal(err)
		}
	}
	send(100)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(got.all()) != 200 {
		t.Errorf("%d packets were handed over, want 200", len(got.all()))
	}
	send(1)
	if err := c.Drain(); !errors.Is(err, ErrClosed) {
		t.Errorf("Drain after Close: %v, want ErrClosed", err)
	}
	if err := c.Add(p.client, "eth0"); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v, want ErrClosed", err)
	}
	if len(got.all()) != 200 {
		t.Errorf("a packet was handed over after Close")
	}
	if n := openDescriptors(t); n != descriptors {
		t.Errorf("%d descriptors are open, %d were before", n, descriptors)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// ARP and IPv6 are not handed over, a broadcast is; an interface that goes down ends nothing.
func TestKernelOnlyIPv4(t *testing.T) {
	p := newPair(t)
	seen := make(chan uint8, 64)
	c := watch(t, func(p Packet) { seen <- p.Protocol }, p.server)
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	neighbour := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	sendFrame(t, p.client, broadcast, unix.ETH_P_ARP)
	sendFrame(t, p.client, broadcast, unix.ETH_P_IPV6)
	sendFrame(t, p.client, neighbour, unix.ETH_P_IP)
	sendFrame(t, p.client, broadcast, unix.ETH_P_IP)
	expectProtocol(t, seen, experimental)
	setLink(t, p.server, netlink.LinkSetDown)
	setLink(t, p.server, netlink.LinkSetUp)
	sendFrame(t, p.client, broadcast, unix.ETH_P_IP)
	expectProtocol(t, seen, experimental)
	datagrams(t, p)(1)
	expectProtocol(t, seen, UDP)
	drain(t, c)
	if len(seen) != 0 {
		t.Errorf("a packet of protocol %d too many", <-seen)
	}
}

// expectProtocol waits for the next packet that is seen.
func expectProtocol(t *testing.T, seen <-chan uint8, want uint8) {
	t.Helper()
	select {
	case got := <-seen:
		if got != want {
			t.Errorf("saw a packet of protocol %d, want %d", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no packet of protocol %d came", want)
	}
}

func TestKernelAddSaysWhatIsMissing(t *testing.T) {
	ns := newNamespace(t, "client")
	c := watch(t, func(Packet) {})
	err := c.Add(ns, "eth0")
	if !errors.Is(err, unix.ENODEV) {
		t.Errorf("Add on an interface that is not there: %v, want ENODEV", err)
	}
	if err := c.Add(ns, "a-name-that-is-too-long-for-linux"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Add on an impossible name: %v, want EINVAL", err)
	}
	closed, err := topology.NewNamespace("server")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(closed, "eth0"); !errors.Is(err, topology.ErrClosed) {
		t.Errorf("Add in a closed namespace: %v, want ErrClosed", err)
	}
}

// BenchmarkKernelCapture is the price of watching: opening the sockets, and closing them, for the hops of a small and
// a large run.
func BenchmarkKernelCapture(b *testing.B) {
	for _, hops := range []int{4, 100} {
		b.Run(strconv.Itoa(hops), func(b *testing.B) {
			namespaces := loopbacks(b, hops)
			var opening time.Duration
			for b.Loop() {
				begin := time.Now()
				c := NewCapture(func(Packet) {})
				for _, ns := range namespaces {
					if err := c.Add(ns, "lo"); err != nil {
						b.Fatal(err)
					}
				}
				opening += time.Since(begin)
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(opening.Microseconds())/float64(b.N)/1000, "open-ms/op")
		})
	}
}

func loopbacks(b *testing.B, count int) []*topology.Namespace {
	b.Helper()
	var namespaces []*topology.Namespace
	for range count {
		ns, err := topology.NewNamespace("pod")
		if errors.Is(err, unix.EPERM) {
			b.Skip(err)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { ns.Close() })
		namespaces = append(namespaces, ns)
	}
	return namespaces
}
