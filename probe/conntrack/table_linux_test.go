package conntrack

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestKernelGetTellsTheBackend(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	l := listenTo(t, ns, &r)
	c := connect(t, ns, serve(t, ns, backends[0]))

	e, err := Get(ns, c.flow)
	check(t, err)
	if e.Reply.Src != backends[0] || e.TCP != TCPEstablished || e.ID == 0 {
		t.Errorf("got %s, ID %d", e, e.ID)
	}
	if want := StatusDstNAT | StatusAssured | StatusSeenReply | StatusConfirmed; !e.Status.Has(want) {
		t.Errorf("status %s lacks some of %s", e.Status, want)
	}
	for _, event := range drained(t, l, &r, c.flow) {
		if event.ID != e.ID {
			t.Errorf("event %q has ID %d, the entry %d", event, event.ID, e.ID)
		}
	}
	if byReply, err := Get(ns, e.Reply); err != nil || byReply.ID != e.ID {
		t.Errorf("looked up by the reply tuple: %s, %v", byReply, err)
	}
	list, err := List(ns)
	check(t, err)
	if len(list) != 1 || list[0].ID != e.ID {
		t.Errorf("list %v", list)
	}
}

func TestKernelSetTimeout(t *testing.T) {
	ns := newWorld(t)
	c := connect(t, ns, serve(t, ns, backends[0]))
	check(t, SetTimeout(ns, c.flow, 100*time.Second))
	e, err := Get(ns, c.flow)
	check(t, err)
	if e.Timeout > 100*time.Second || e.Timeout < 50*time.Second || e.TCP != TCPEstablished {
		t.Errorf("got %s", e)
	}
	check(t, SetTimeout(ns, c.flow, 0))
	if _, err := Get(ns, c.flow); !errors.Is(err, ErrNotFound) {
		t.Errorf("after timeout 0: got %v, want ErrNotFound", err)
	}
	if err := SetTimeout(ns, c.flow, time.Second); !errors.Is(err, ErrNotFound) {
		t.Errorf("timeout of what is gone: got %v, want ErrNotFound", err)
	}
	for _, wrong := range []time.Duration{-time.Second, time.Millisecond, 1 << 33 * time.Second} {
		if err := SetTimeout(ns, c.flow, wrong); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("timeout %s: got %v", wrong, err)
		}
	}
}

func TestKernelDeleteIsExact(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	l := listenTo(t, ns, &r)
	c := connect(t, ns, serve(t, ns, backends[0]))
	e, err := Get(ns, c.flow)
	check(t, err)

	wrong := e
	wrong.ID++
	if _, err := Delete(ns, wrong); !errors.Is(err, ErrNotFound) {
		t.Errorf("wrong ID: got %v, want ErrNotFound", err)
	}
	_, err = Delete(ns, e)
	check(t, err)
	if _, err := Delete(ns, e); !errors.Is(err, ErrNotFound) {
		t.Errorf("second time: got %v, want ErrNotFound", err)
	}
	events := drained(t, l, &r, c.flow)
	if last := events[len(events)-1]; last.DestroyedBy() != Caller || last.PortID == 0 {
		t.Errorf("got %q by %v, port id %d", last, last.DestroyedBy(), last.PortID)
	}
	// A request without a tuple would be a flush.
	check(t, Create(ns, manyEntries(1)...))
	for _, nothing := range []Entry{{}, {ID: e.ID}, {Original: Tuple{Protocol: ProtocolTCP}, ID: e.ID}} {
		if _, err := Delete(ns, nothing); err == nil {
			t.Errorf("deleting %+v succeeds", nothing)
		}
	}
	if list, err := List(ns); err != nil || len(list) != 1 {
		t.Errorf("%d entries, %v, want the one that nobody deleted", len(list), err)
	}
}

func TestKernelCreate(t *testing.T) {
	ns := newWorld(t)
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	src6, dst6 := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	for name, e := range map[string]Entry{
		"SYN_SENT": {Original: NewTuple(ProtocolTCP, netip.AddrPortFrom(src, 1), netip.AddrPortFrom(dst, 2)),
			TCP: TCPSynSent, HasTCP: true, Timeout: 2 * time.Minute},
		"marked UDP": {Original: NewTuple(ProtocolUDP, netip.AddrPortFrom(src, 1), netip.AddrPortFrom(dst, 2)),
			Mark: 7, HasMark: true, Timeout: time.Minute},
		"IPv6": {Original: NewTuple(ProtocolUDP, netip.AddrPortFrom(src6, 1), netip.AddrPortFrom(dst6, 2)),
			Timeout: time.Minute},
		"ping": {Original: Tuple{Protocol: ProtocolICMP, Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(dst, 0),
			ICMP: ICMP{Type: 8, ID: 3}}, Timeout: time.Minute},
		"ping6": {Original: Tuple{Protocol: ProtocolICMPv6, Src: netip.AddrPortFrom(src6, 0),
			Dst: netip.AddrPortFrom(dst6, 0), ICMP: ICMP{Type: 128, ID: 3}}, Timeout: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, Create(ns, e))
			got, err := Get(ns, e.Original)
			check(t, err)
			if got.Original != e.Original || got.Reply != e.Original.Invert() || got.TCP != e.TCP || got.Mark != e.Mark {
				t.Errorf("made %+v\ngot %+v", e, got)
			}
			if got.Timeout > e.Timeout || got.Timeout < e.Timeout/2 {
				t.Errorf("timeout %s, want %s", got.Timeout, e.Timeout)
			}
			if err := Create(ns, e); !errors.Is(err, ErrExists) {
				t.Errorf("second time: got %v, want ErrExists", err)
			}
			check(t, SetTimeout(ns, e.Original, 20*time.Second))
			got, err = Get(ns, e.Original)
			check(t, err)
			if got.Timeout > 20*time.Second || got.Timeout < 10*time.Second {
				t.Errorf("timeout %s, set to 20s", got.Timeout)
			}
			wrong := got
			wrong.ID++
			if _, err := Delete(ns, wrong); !errors.Is(err, ErrNotFound) {
				t.Errorf("delete with a wrong ID: got %v, want ErrNotFound", err)
			}
			_, err = Delete(ns, got)
			check(t, err)
			check(t, Create(ns, e))
			_, err = Delete(ns, Entry{Original: e.Original})
			check(t, err)
			check(t, Create(ns, e))
			check(t, Expire(ns, e.Original))
			if list, err := List(ns); err != nil || len(list) != 0 {
				t.Errorf("left: %v, %v", list, err)
			}
		})
	}
}

// TestKernelCollect makes an entry expire that nobody looks at: its DESTROY must come of Collect, by look-ups and by a dump,
// and what still lives must stay.
func TestKernelCollect(t *testing.T) {
	client, server := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	entry := func(port uint16, timeout time.Duration) Entry {
		return Entry{Original: NewTuple(ProtocolUDP, netip.AddrPortFrom(client, port), netip.AddrPortFrom(server, 53)), Timeout: timeout}
	}
	expires, lives, gone := entry(1, time.Second), entry(2, time.Minute), entry(3, time.Minute)
	few := []Entry{expires, lives, gone}
	inZone := gone
	inZone.Zone = 7
	for name, asked := range map[string][]Entry{"few": few, "many": slices.Repeat(few, worthADump), "in a zone": {expires, inZone}} {
		t.Run(name, func(t *testing.T) {
			ns := newWorld(t)
			var r recorder
			l := listenTo(t, ns, &r)
			check(t, Create(ns, expires, lives))
			time.Sleep(1100 * time.Millisecond) // its whole life
			living, err := Collect(ns, asked)
			check(t, err)
			if slices.ContainsFunc(living, func(e Entry) bool { return e.Original == expires.Original }) {
				t.Errorf("it lives on: %v", living)
			}
			for _, e := range []Entry{expires, lives} {
				ended := slices.ContainsFunc(drained(t, l, &r, e.Original), func(ev Event) bool { return ev.DestroyedBy() == Expired })
				if want := e.Original == expires.Original; ended != want {
					t.Errorf("%s: expired is %t, want %t", e.Original, ended, want)
				}
			}
		})
	}
}
