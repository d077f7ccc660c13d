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
