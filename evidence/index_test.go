package evidence

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
)

// TestIndexMasqueraded: where the client is the node itself, one connection may be masqueraded with the port that another
// one has; the other one's entry stays the other's.
func TestIndexMasqueraded(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	start := time.Unix(1, 0)
	entry := func(local, instead string) EntryEvent {
		ev := EntryEvent{Node: "master"}
		ev.Type, ev.Time = conntrack.New, start.Add(time.Second)
		ev.Original.Src, ev.Original.Dst = at(local), at("10.108.33.37:2222")
		ev.Reply.Src, ev.Reply.Dst = at("172.18.166.130:2222"), at(instead)
		return ev
	}
	e := &Evidence{World: World{Translating: []string{"master"}}, Flows: []FlowFacts{{1, at("192.168.122.20:100"), start}, {2, at("192.168.122.20:200"), start}},
		Events: []EntryEvent{entry("192.168.122.20:100", "192.168.122.20:200"), entry("192.168.122.20:200", "192.168.122.20:300")}}
	ix := e.Index()
	for i := range e.Events {
		if got := ix.Event(&e.Events[i]); got != i+1 {
			t.Errorf("the entry of connection %d is taken for that of %d", i+1, got)
		}
	}
	// Beyond the node the port is that of the connection it was given to.
	pod, service := at("172.18.166.130:2222"), at("10.108.33.37:2222")
	for _, tt := range []struct {
		src, dst netip.AddrPort
		want     int
	}{
		{at("192.168.122.20:200"), pod, 1}, {pod, at("192.168.122.20:200"), 1}, {at("192.168.122.20:200"), service, 2},
		{at("192.168.122.20:300"), pod, 2}, {service, at("192.168.122.20:100"), 1},
	} {
		if got := ix.Of(start.Add(time.Second), tt.src, tt.dst); got != tt.want {
			t.Errorf("%s > %s is taken for connection %d's, not %d's", tt.src, tt.dst, got, tt.want)
		}
	}
	if got := ix.Of(start.Add(time.Second), at("192.168.122.20:300")); got != 2 {
		t.Errorf("the address that a node put in the place of connection 2's is taken for that of %d", got)
	}
}
