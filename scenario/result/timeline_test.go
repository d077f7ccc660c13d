package result

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
)

// The timeline of a real run is in the order of time, belongs to the run, and holds everything that was seen once.
func TestTimelineOrder(t *testing.T) {
	for _, name := range recorded.Names {
		e := recorded.Of(t, name)
		timeline := e.Timeline(e.Index(), e.Followed(), nil, nil).Observations
		if want := len(e.Deeds) + len(e.Reports) + len(e.Events) + len(e.Packets); len(timeline) < want {
			t.Errorf("%s: %d observations, want %d at least", name, len(timeline), want)
		}
		if !slices.IsSortedFunc(timeline, func(a, b evidence.Observation) int {
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
			if o.T < 0 || o.T > e.Since(e.Ended) || o.Source == "" || o.At == "" || o.Kind == "" {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

// The order of time is the same whatever the order of arrival: watchers deliver when they can.
func TestTimelineFromAnyArrival(t *testing.T) {
	for _, name := range recorded.Names {
		s, e := builtin.Find(t, name), recorded.Of(t, name)
		want := New(builtin.Plan(t, s), recorded.Of(t, name))
		slices.Reverse(e.Events)
		slices.Reverse(e.Packets)
		slices.Reverse(e.Reports)
		got := New(builtin.Plan(t, s), e)
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
	e := &evidence.Evidence{Started: start,
		Packets: []packet.Packet{{At: "first", Time: at}, {At: "second", Time: at}},
		Events:  []evidence.EntryEvent{{Node: "master"}},
		Reports: []peer.Report{{At: scenario.PodClient, Side: peer.Client, Call: peer.Send, Time: at}},
		Deeds:   []evidence.Deed{{Time: at, At: "step", Kind: "flush"}}}
	e.Events[0].Time = at
	var got []string
	for _, o := range e.Timeline(e.Index(), e.Followed(), nil, nil).Observations {
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
	ix := evidence.Index{}
	ix.Add(port, evidence.FlowFacts{ID: 1, Local: port, Since: start})
	ix.Add(port, evidence.FlowFacts{ID: 2, Local: port, Since: start.Add(time.Minute)})
	ix.Add(port, evidence.FlowFacts{ID: 2, Local: port, Since: start.Add(time.Minute)}) // known already
	for after, want := range map[time.Duration]int{-time.Second: 1, 0: 1, 59 * time.Second: 1, time.Minute: 2, time.Hour: 2} {
		if got := ix.Of(start.Add(after), netip.AddrPort{}, port); got != want {
			t.Errorf("after %v the port is connection %d's, want %d", after, got, want)
		}
	}
	if got := ix.Of(start, netip.MustParseAddrPort("172.18.219.65:40001")); got != 0 {
		t.Errorf("another port is connection %d's", got)
	}
}
