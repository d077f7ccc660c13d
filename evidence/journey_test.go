package evidence

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/probe/packet"
)

// TestJourneys: a UDP datagram has no number of its own, and still the answers of two pods are two packets.
func TestJourneys(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	client, service := netip.MustParseAddrPort("172.18.219.65:40000"), netip.MustParseAddrPort("10.108.33.37:2222")
	server1, server2 := netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("172.18.166.131:2222")
	e := &Evidence{Started: start, Flows: []FlowFacts{{ID: 1, Local: client}}, World: World{ClientAt: "client", Service: service,
		Nodes: []string{"master", "node1"}, Pods: map[netip.Addr]string{server1.Addr(): "server-1", server2.Addr(): "server-2"}}}
	var packets []packet.Packet
	see := func(at string, direction packet.Direction, src, dst netip.AddrPort) {
		packets = append(packets, packet.Packet{Time: start.Add(time.Duration(len(packets)) * time.Microsecond), At: at,
			Direction: direction, Protocol: packet.UDP, Src: src, Dst: dst, Payload: 10})
	}
	for _, server := range []struct {
		name    string
		address netip.AddrPort
	}{{"server-1", server1}, {"server-2", server2}} {
		see("client", packet.Out, client, service)
		see("node1", packet.In, client, server.address)
		see(server.name, packet.In, client, server.address)
		see(server.name, packet.Out, server.address, client)
		see("node1", packet.Out, server.address, client)
		see("client", packet.In, service, client)
	}
	want := []int{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}
	if diff := cmp.Diff(want, e.journeys(e.Index(), packets)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestJourneysOfEqualPackets: two packets in flight that have all in common are told apart by their IP identification, and
// where that is the same, or not known, by their order.
func TestJourneysOfEqualPackets(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	client, service := netip.MustParseAddrPort("172.18.219.65:40000"), netip.MustParseAddrPort("10.108.33.37:2222")
	server := netip.MustParseAddrPort("172.18.166.130:2222")
	e := &Evidence{Started: start, Flows: []FlowFacts{{ID: 1, Local: client}}, World: World{ClientAt: "client", Service: service,
		Nodes: []string{"master", "node1"}, Pods: map[netip.Addr]string{server.Addr(): "server-1"}}}
	for name, c := range map[string]struct {
		ids  []uint16 // of the two that leave the client, and of those two that then reach node1, server-1, node1, server-1
		want []int
	}{
		"a SYN that waited for ARP arrives behind the one after it": {[]uint16{7, 8, 8, 8, 7, 7}, []int{1, 2, 2, 2, 1, 1}},
		"the first one is lost":            {[]uint16{7, 8, 8, 8}, []int{1, 2, 2, 2}},
		"no identification: in order":      {[]uint16{0, 0, 0, 0, 0, 0}, []int{1, 2, 1, 1, 2, 2}},
		"the same identification in order": {[]uint16{7, 7, 7, 7, 7, 7}, []int{1, 2, 1, 1, 2, 2}},
	} {
		var packets []packet.Packet
		for i, id := range c.ids {
			p := packet.Packet{Time: start.Add(time.Duration(i) * time.Millisecond), At: "client", Direction: packet.Out,
				Protocol: packet.TCP, Src: client, Dst: service, Flags: packet.SYN, Seq: 1, ID: id}
			if i >= 2 {
				p.At, p.Direction, p.Dst = []string{"node1", "server-1"}[i%2], packet.In, server
			}
			packets = append(packets, p)
		}
		if diff := cmp.Diff(c.want, e.journeys(e.Index(), packets)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
