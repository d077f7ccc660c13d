package kernel

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"
)

var (
	stranger = netip.MustParseAddrPort("127.0.0.1:54124")
	listener = netip.MustParseAddrPort("127.0.0.1:2222")
)

// The article's case: an ACK of a connection that the server does not know reaches its listening socket.
func TestKernelAckToListener(t *testing.T) {
	needTrace(t)
	ns := newPod(t, "server")
	listenIn(t, ns, listener.String())
	wire := newInjector(t, ns)
	_, drain := watchEvents(t, ns)

	before := time.Now()
	wire.ack(t, stranger, listener)
	wire.awaitReset(t, listener, stranger)
	after := time.Now()

	sent := ofKind(drain(), SendReset)
	if len(sent) != 1 {
		t.Fatalf("got %d events of a sent reset, want 1: %v", len(sent), sent)
	}
	e := sent[0]
	if e.Namespace != ns.Inode() || e.Src != stranger || e.Dst != listener || !e.Packet {
		t.Errorf("namespace %d, %s > %s, packet %t; want the injected packet in %d", e.Namespace, e.Src, e.Dst, e.Packet,
			ns.Inode())
	}
	if e.State != "LISTEN" {
		t.Errorf("state %q, want LISTEN", e.State)
	}
	if kernelTypes(t).hasResetReason() && e.Reason != "TCP_FLAGS" {
		t.Errorf("reason %q, want TCP_FLAGS", e.Reason)
	}
	if e.Time.Before(before) || e.Time.After(after) {
		t.Errorf("time %s is not between %s and %s", e.Time, before, after)
	}
	if len(e.Stack) == 0 || baseName(e.Stack[0]) != "tcp_v4_send_reset" || !slices.Contains(e.Stack, "tcp_v4_rcv") {
		t.Errorf("stack %v, want one from tcp_v4_send_reset over tcp_v4_rcv", e.Stack)
	}
	if told := e.Functions(); !slices.Equal(told, []string{"tcp_v4_rcv", "tcp_v4_do_rcv", "tcp_v4_send_reset"}) {
		t.Errorf("told %v", told)
	}
	t.Log(e)
}

// A peer that closes with SO_LINGER 0: the sender of the reset, its receiver and the error that the receiver gets.
func TestKernelResetConnection(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			needTrace(t)
			ns := newPod(t, "client")
			_, drain := watchEvents(t, ns)
			client, server := resetClient(t, ns, address)

			events := drain()
			sent, received := ofKind(events, SendReset), ofKind(events, ReceiveReset)
			// The server's socket gets the error too, although nobody can read it any more (tcp_disconnect).
			reported := ofKind(events, ErrorReport)
			if len(sent) != 1 || len(received) != 1 || len(reported) == 0 {
				t.Fatalf("got %v, want one event of each kind", events)
			}
			if e := sent[0]; e.Src != server || e.Dst != client || e.Packet {
				t.Errorf("%s: want the server's socket, %s > %s", e, server, client)
			}
			if e := received[0]; e.Src != client || e.Dst != server || e.Packet || e.State != "ESTABLISHED" || e.Errno != 0 {
				t.Errorf("%s: want the client's socket, %s > %s, ESTABLISHED", e, client, server)
			}
			if e := reported[0]; e.Src != client || e.Dst != server || e.Errno != syscall.ECONNRESET {
				t.Errorf("%s: want ECONNRESET on the client's socket, %s > %s", e, client, server)
			}
			if told := received[0].Functions(); len(told) == 0 || told[len(told)-1] != "tcp_reset" {
				t.Errorf("told %v, want one that ends in tcp_reset", told)
			}
			for _, e := range events {
				t.Log(e)
			}
		})
	}
}

// An ACK to a port where nobody listens: no socket, and the packet is dropped for that reason.
func TestKernelAckToNobody(t *testing.T) {
	needTrace(t)
	types := kernelTypes(t)
	if !types.hasDropReason() || !types.hasResetReason() {
		t.Skip("this kernel does not trace a reset without a socket (Linux 6.10)")
	}
	ns := newPod(t, "server")
	wire := newInjector(t, ns)
	_, drain := watchEvents(t, ns)
	wire.ack(t, stranger, listener)
	wire.awaitReset(t, listener, stranger)

	events := drain()
	for _, kind := range []Kind{SendReset, Drop} {
		found := ofKind(events, kind)
		if len(found) == 0 {
			t.Fatalf("no %s in %v", kind, events)
		}
		if e := found[0]; e.Reason != "NO_SOCKET" || e.State != "" || e.Src != stranger || e.Dst != listener || !e.Packet {
			t.Errorf("%s: want NO_SOCKET for %s > %s", e, stranger, listener)
		}
		t.Log(found[0])
	}
}

// A connection that lives and ends in peace is no event.
func TestKernelPeace(t *testing.T) {
	needTrace(t)
	ns := newPod(t, "pod")
	_, drain := watchEvents(t, ns)
	exchange(t, ns)
	if events := drain(); len(events) > 0 {
		t.Errorf("got %v, want no events", events)
	}
}

// Only namespaces that are watched are seen.
func TestKernelOtherNamespace(t *testing.T) {
	needTrace(t)
	ours, theirs := newPod(t, "ours"), newPod(t, "theirs")
	w, drain := watchEvents(t, ours)

	resetClient(t, theirs, "127.0.0.1:0")
	if events := drain(); len(events) > 0 {
		t.Fatalf("got events of a namespace that is not watched: %v", events)
	}
	resetClient(t, ours, "127.0.0.1:0")
	seen := len(drain())
	if seen == 0 {
		t.Fatal("got no events of the namespace that is watched")
	}
	if err := w.Add(theirs); err != nil {
		t.Fatal(err)
	}
	resetClient(t, theirs, "127.0.0.1:0")
	events := drain()[seen:]
	if len(events) == 0 || events[0].Namespace != theirs.Inode() {
		t.Fatalf("got %v, want events of the namespace that was added", events)
	}
	if err := w.Remove(theirs); err != nil {
		t.Fatal(err)
	}
	resetClient(t, theirs, "127.0.0.1:0")
	if more := drain()[seen+len(events):]; len(more) > 0 {
		t.Errorf("got events of the namespace that was removed: %v", more)
	}
}

// What an older kernel does not tell is left out, the rest stays right.
func TestKernelOlder(t *testing.T) {
	needTrace(t)
	ns := newPod(t, "server")
	listenIn(t, ns, listener.String())
	wire := newInjector(t, ns)
	_, drain := watchTypes(t, func(kernel *types) {
		kernel.taiClock = false
		kernel.sendResetArguments = 2
		kernel.kfreeSkbArguments = 2
	}, ns)

	before := time.Now()
	wire.ack(t, stranger, listener)
	wire.awaitReset(t, listener, stranger)
	after := time.Now()

	events := drain()
	if len(events) != 1 {
		t.Fatalf("got %v, want one event", events)
	}
	e := events[0]
	if e.Kind != SendReset || e.Reason != "" || e.State != "LISTEN" || e.Src != stranger {
		t.Errorf("%s: want a sent reset without a reason", e)
	}
	// The comparison of two clocks is not exact, and the machine may be busy.
	if slack := time.Second; e.Time.Before(before.Add(-slack)) || e.Time.After(after.Add(slack)) {
		t.Errorf("time %s is not between %s and %s", e.Time, before, after)
	}
}

// Events that do not fit into the buffer are counted.
func TestKernelLost(t *testing.T) {
	needTrace(t)
	ns := newPod(t, "server")
	listenIn(t, ns, listener.String())
	wire := newInjector(t, ns)
	resume := make(chan struct{})
	handled := 0
	w, err := Watch(func(Event) { <-resume; handled++ }, ns)
	if err != nil {
		t.Fatal(err)
	}
	const most = 1_000_000
	for n := 0; w.Lost() == 0; n++ {
		if n == most {
			t.Fatalf("nothing is lost after %d packets", most)
		}
		wire.ack(t, stranger, listener)
	}
	close(resume)
	if err := w.Drain(); err != nil {
		t.Fatal(err)
	}
	if handled == 0 {
		t.Error("what fitted was not handed over")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Lost() == 0 {
		t.Error("Lost forgets when the Watcher is closed")
	}
}

func TestKernelClose(t *testing.T) {
	needTrace(t)
	ns := newPod(t, "pod")
	w, err := Watch(func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Drain(); err == nil {
		t.Error("Drain says nothing of a closed Watcher")
	}
	if err := w.Add(ns); err == nil {
		t.Error("Add says nothing of a closed Watcher")
	}
	// Another program's reset on this host may have cost one: the number is not known, but asking is allowed.
	w.Lost()
}

func BenchmarkKernelWatch(b *testing.B) {
	needTrace(b)
	ns := newPod(b, "pod")
	for b.Loop() {
		w, err := Watch(func(Event) {}, ns)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
