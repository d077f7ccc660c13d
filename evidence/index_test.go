package evidence

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
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

// TestIndexOfPortUsedTwice: what has a source port that two connections had is of the one that had it at the time.
func TestIndexOfPortUsedTwice(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	client, service := netip.MustParseAddrPort("172.18.219.65:40000"), netip.MustParseAddrPort("10.108.33.37:2222")
	server, node := netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("192.168.122.20:9999")
	e := &Evidence{Flows: []FlowFacts{{1, client, start}, {2, client, start.Add(time.Second)}},
		World: World{Service: service, Translating: []string{"master"}, Pods: map[netip.Addr]string{server.Addr(): "server-1"}}}
	for _, at := range []time.Duration{1, 1001} { // both masqueraded, as the same source
		ev := EntryEvent{Node: "master"}
		ev.Time, ev.Original.Src, ev.Original.Dst = start.Add(at*time.Millisecond), client, service
		ev.Reply.Src, ev.Reply.Dst = server, node
		e.Events = append(e.Events, ev)
	}
	ix := e.Index()
	for after, want := range map[time.Duration]int{time.Millisecond: 1, 999 * time.Millisecond: 1, time.Second: 2, time.Hour: 2} {
		at := start.Add(after)
		ev := EntryEvent{Node: "master"}
		ev.Time, ev.Original.Src, ev.Original.Dst, ev.Reply.Src, ev.Reply.Dst = at, client, service, server, node
		report := &peer.Report{Side: peer.Server, Time: at, Local: server, Remote: node}
		event := &KernelEvent{At: "server-1"}
		event.Time, event.Src, event.Dst = at, server, node
		p := &packet.Packet{Time: at, Src: server, Dst: node}
		if a, b, c, d := ix.Event(&ev), ix.Packet(p), ix.Report(report), ix.Kernel(event); a != want || b != want || c != want || d != want {
			t.Errorf("after %s: event %d, packet %d, report %d, kernel %d; want %d", after, a, b, c, d, want)
		}
	}
}
