package conntrack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// The article's case: a connection through the service, the table flushed, the next segment sent to another backend.
func TestKernelLifeCycle(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	l := listenTo(t, ns, &r)
	first := serve(t, ns, backends[0])
	serve(t, ns, backends[1])

	// Act 1: the connection is made and used.
	c := connect(t, ns, first)
	c.send(t)
	// Act 2: new connections go to the other backend, and the table is flushed.
	translateTo(t, ns, backends[1])
	caller, err := Flush(ns)
	check(t, err)
	// Act 3: the client sends once more. The other backend knows no such connection and answers with an RST.
	c.sendAndReset(t)

	const original = `src=127\.0\.0\.1 dst=127\.0\.0\.100 sport=PORT dport=2222`
	const viaFirst = `src=127\.0\.0\.2 dst=127\.0\.0\.1 sport=2222 dport=PORT`
	const viaOther = `src=127\.0\.0\.3 dst=127\.0\.0\.1 sport=2222 dport=PORT`
	want := []struct {
		line string
		by   Destroyer
		port uint32
	}{
		{`    \[NEW\] tcp      6 120 SYN_SENT ` + original + ` \[UNREPLIED\] ` + viaFirst, NotDestroyed, 0},
		{` \[UPDATE\] tcp      6 60 SYN_RECV ` + original + ` ` + viaFirst, NotDestroyed, 0},
		{` \[UPDATE\] tcp      6 432000 ESTABLISHED ` + original + ` ` + viaFirst + ` \[ASSURED\]`, NotDestroyed, 0},
		{`\[DESTROY\] tcp      6 \d+ ESTABLISHED ` + original + ` ` + viaFirst + ` \[ASSURED\]`, Caller, caller},
		{`    \[NEW\] tcp      6 300 ESTABLISHED ` + original + ` \[UNREPLIED\] ` + viaOther, NotDestroyed, 0},
		{`\[DESTROY\] tcp      6 \d+ CLOSE ` + original + ` \[UNREPLIED\] ` + viaOther, Reset, 0},
	}
	events := drained(t, l, &r, c.flow)
	if len(events) != len(want) {
		t.Fatalf("got %d events, want %d:\n%v", len(events), len(want), events)
	}
	port := strconv.Itoa(int(c.flow.Src.Port()))
	for i, w := range want {
		line := regexp.MustCompile(`^ *` + strings.ReplaceAll(w.line, "PORT", port) + `$`)
		if e := events[i]; !line.MatchString(e.String()) || e.DestroyedBy() != w.by || e.PortID != w.port {
			t.Errorf("event %d: got %q by %v, port id %d\nwant %s by %v, port id %d", i, e, e.DestroyedBy(), e.PortID,
				line, w.by, w.port)
		}
	}
	checkTimes(t, events)
}

// checkTimes checks that the events' times ascend and lie in the near past.
func checkTimes(t *testing.T, events []Event) {
	t.Helper()
	last := time.Now().Add(-time.Hour)
	for _, e := range events {
		if e.Time.Before(last) || time.Since(e.Time) < 0 {
			t.Errorf("time %s of %q is before %s or in the future", e.Time, e, last)
		}
		last = e.Time
	}
}

func TestKernelExpireLooksLikeExpiry(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	l := listenTo(t, ns, &r)
	c := connect(t, ns, serve(t, ns, backends[0]))
	check(t, Expire(ns, c.flow))

	events := drained(t, l, &r, c.flow)
	last := events[len(events)-1]
	if last.DestroyedBy() != Expired || last.PortID != 0 || last.HasTimeout {
		t.Errorf("got %q by %v, port id %d", last, last.DestroyedBy(), last.PortID)
	}
	if err := Expire(ns, c.flow); !errors.Is(err, ErrNotFound) {
		t.Errorf("expire what is gone: got %v, want ErrNotFound", err)
	}
}

// After Drain every event is there, without a wait.
func TestKernelDrainIsABarrier(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	l := listenTo(t, ns, &r)
	const entries, eventSize = 1000, 2000
	if l.Buffer() < entries*eventSize {
		t.Skipf("the kernel grants a buffer of %d bytes, less than %d events", l.Buffer(), entries)
	}
	for round := range 5 {
		check(t, Create(ns, manyEntries(entries)...))
		check(t, l.Drain())
		if n := count(r.all(), New); n != (round+1)*entries {
			t.Fatalf("round %d: %d NEW events after Drain, want %d", round, n, (round+1)*entries)
		}
		_, err := Flush(ns)
		check(t, err)
		check(t, l.Drain())
		if n := count(r.all(), Destroy); n != (round+1)*entries {
			t.Fatalf("round %d: %d DESTROY events after Drain, want %d", round, n, (round+1)*entries)
		}
	}
}

// A storm that a small buffer cannot hold: the loss is counted, and no DESTROY is missing after Drain.
func TestKernelStorm(t *testing.T) {
	for _, size := range []struct {
		name    string
		buffer  int
		entries int
		lossy   bool
	}{{"large buffer", listenBuffer, 100_000, false}, {"small buffer", 64 << 10, 20_000, true}} {
		t.Run(size.name, func(t *testing.T) {
			ns := newWorld(t)
			var r recorder
			l, err := listen(ns, size.buffer, r.add)
			check(t, err)
			start := time.Now()
			check(t, Create(ns, manyEntries(size.entries)...))
			created := time.Since(start)
			check(t, l.Drain())
			start = time.Now()
			_, err = Flush(ns)
			check(t, err)
			flushed := time.Since(start)
			check(t, l.Drain())
			t.Logf("created in %v, flushed in %v, drained after %v, lost %d, overruns %d, buffer %d, %d NEW", created, flushed,
				time.Since(start), l.Lost(), l.Overruns(), l.Buffer(), count(r.all(), New))
			if n := count(r.all(), Destroy); n != size.entries {
				t.Errorf("%d DESTROY events, want %d", n, size.entries)
			}
			for _, e := range r.all() {
				if e.Type == Destroy && e.DestroyedBy() != Caller {
					t.Fatalf("%q destroyed by %v", e, e.DestroyedBy())
				}
			}
			// Without root the kernel grants less than the large buffer, and a loss is possible.
			lossless := !size.lossy && l.Buffer() >= 2*size.buffer
			if size.lossy && l.Overruns() == 0 || lossless && l.Overruns() > 0 || (l.Lost() > 0) != (l.Overruns() > 0) {
				t.Errorf("lost %d, overruns %d", l.Lost(), l.Overruns())
			}
			lost := l.Lost()
			check(t, l.Close())
			if l.Lost() != lost {
				t.Errorf("lost %d before Close, %d after", lost, l.Lost())
			}
		})
	}
}

func TestKernelCloseLeavesNothing(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	before := descriptors(t)
	for range 20 {
		l, err := Listen(ns, r.add)
		check(t, err)
		check(t, Create(ns, manyEntries(1)...))
		_, err = Flush(ns)
		check(t, err)
		check(t, l.Close())
		check(t, l.Close())
		check(t, l.Drain())
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
	if n := len(r.all()); n != 40 {
		t.Errorf("%d events were handled before Close returned, want 40", n)
	}
}

func TestKernelListenInClosedNamespace(t *testing.T) {
	ns := newWorld(t)
	check(t, ns.Close())
	before := descriptors(t)
	_, err := Listen(ns, func(Event) {})
	if !errors.Is(err, topology.ErrClosed) {
		t.Errorf("got %v, want topology.ErrClosed", err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}

// manyEntries gives n established connections to the service, each from a port of its own.
func manyEntries(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		client := netip.AddrFrom4([4]byte{10, 0, byte(i >> 14 & 0xff), 1})
		entries[i] = Entry{
			Original: NewTuple(ProtocolTCP, netip.AddrPortFrom(client, uint16(1024+i&0x3fff)), serviceAddr),
			Status:   StatusSeenReply | StatusAssured,
			Timeout:  time.Hour,
			TCP:      TCPEstablished,
			HasTCP:   true,
		}
	}
	return entries
}

func count(events []Event, kind EventType) (n int) {
	for _, e := range events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

func descriptors(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(files)
}

// sendAndReset sends ten bytes, which succeeds, and waits for the RST that answers them.
func (c connection) sendAndReset(t testing.TB) {
	t.Helper()
	if _, err := unix.Write(c.client, []byte("0123456789")); err != nil {
		t.Fatal("the first send fails: ", err)
	}
	if _, err := unix.Read(c.client, make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Fatal(fmt.Errorf("want ECONNRESET, got %w", err))
	}
}
