package scenario

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/packet"
)

// The timeline of a real run is in the order of time, belongs to the run, and holds everything that was seen once.
func TestTimelineOrder(t *testing.T) {
	for _, name := range recorded {
		e := evidenceOf(t, name)
		timeline := e.timeline(e.index(), e.followed(), nil, nil).observations
		if want := len(e.deeds) + len(e.reports) + len(e.events) + len(e.packets); len(timeline) < want {
			t.Errorf("%s: %d observations, want %d at least", name, len(timeline), want)
		}
		if !slices.IsSortedFunc(timeline, func(a, b Observation) int {
			switch {
			case a.T < b.T:
				return -1
			case a.T > b.T:
				return 1
			}
			return 0
		}) {
			t.Errorf("%s: not in the order of time", name)
		}
		for _, o := range timeline {
			if o.T < 0 || o.T > e.since(e.ended) || o.Source == "" || o.At == "" || o.Kind == "" {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

// The order of time is the same whatever the order of arrival: watchers deliver when they can.
func TestTimelineFromAnyArrival(t *testing.T) {
	for _, name := range recorded {
		s, e := find(t, name), evidenceOf(t, name)
		want := NewResult(planOf(t, s), evidenceOf(t, name))
		slices.Reverse(e.events)
		slices.Reverse(e.packets)
		slices.Reverse(e.reports)
		got := NewResult(planOf(t, s), e)
		if got.Verdict != want.Verdict || got.Reason != want.Reason || !slices.Equal(got.Cause, want.Cause) {
			t.Errorf("%s: %s: %s\n%s\nwant %s\n%s", name, got.Verdict, got.Reason, strings.Join(got.Cause, "\n"),
				want.Reason, strings.Join(want.Cause, "\n"))
		}
	}
}

// Facts of the same instant stay in the order: step, program, conntrack, packet; and in their own order of arrival.
func TestTimelineTies(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := start.Add(time.Second)
	e := &evidence{started: start,
		packets: []packet.Packet{{At: "first", Time: at}, {At: "second", Time: at}},
		events:  []entryEvent{{node: "master"}},
		reports: []probe.Report{{At: podClient, Side: probe.Client, Call: probe.Send, Time: at}},
		deeds:   []deed{{time: at, at: "step", kind: "flush"}}}
	e.events[0].Time = at
	var got []string
	for _, o := range e.timeline(e.index(), e.followed(), nil, nil).observations {
		got = append(got, o.Source+" "+o.At)
	}
	want := []string{"step step", "client client", "conntrack master", "packet first", "packet second"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A source port that is used again belongs to the connection that had it at the time.
func TestIndexByTime(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	port := netip.MustParseAddrPort("172.18.219.65:40000")
	ix := index{}
	ix.add(port, flowFacts{id: 1, local: port, since: start})
	ix.add(port, flowFacts{id: 2, local: port, since: start.Add(time.Minute)})
	ix.add(port, flowFacts{id: 2, local: port, since: start.Add(time.Minute)}) // known already
	for after, want := range map[time.Duration]int{-time.Second: 1, 0: 1, 59 * time.Second: 1, time.Minute: 2, time.Hour: 2} {
		if got := ix.of(start.Add(after), netip.AddrPort{}, port); got != want {
			t.Errorf("after %v the port is connection %d's, want %d", after, got, want)
		}
	}
	if got := ix.of(start, netip.MustParseAddrPort("172.18.219.65:40001")); got != 0 {
		t.Errorf("another port is connection %d's", got)
	}
}

// typed tells whether an observation carries the typed facts of its source, and no others.
func typed(o Observation) bool {
	has := map[string]bool{"step": o.Step != nil, "conntrack": o.Entry != nil, "packet": o.Packet != nil, "rule": o.Path != nil,
		"kernel": o.KernelEvent != nil, "socket": o.Socket != nil, "client": o.Call != nil || o.Output != nil || o.Kind == "state" && o.Socket != nil}
	has["server"] = has["client"]
	n := 0
	for _, there := range []bool{o.Step != nil, o.Entry != nil, o.Packet != nil, o.Path != nil, o.KernelEvent != nil, o.Socket != nil,
		o.Call != nil, o.Output != nil} {
		if there {
			n++
		}
	}
	return has[o.Source] && n == 1
}

// TestTyped: every observation carries the facts of its source.
func TestTyped(t *testing.T) {
	for _, name := range recorded {
		for _, o := range NewResult(planOf(t, find(t, name)), evidenceOf(t, name)).Timeline {
			if !typed(o) {
				t.Errorf("%s: without the facts of its source: %+v", name, o)
			}
		}
	}
	if typed(Observation{Source: "packet"}) || typed(Observation{Source: "packet", Packet: &PacketFacts{}, Socket: &SocketFacts{}}) {
		t.Error("the check finds nothing")
	}
}
