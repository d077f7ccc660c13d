package evidence

import (
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
)

// journeys numbers the packets: the same packet has the same number at every hop. Translation changes addresses and
// leaves the IP identification and the numbers in the segment alone, so a packet is the same as one before it if these
// are equal, it belongs to the same connection, it has not been at this hop in this direction yet, and it does not begin
// here: a pod passes nothing on, what goes out of it is new. Packets that all of this does not tell apart, such as
// datagrams that a socket sends with the identification 0, keep their order: at each hop the first is the one that
// began first and has not arrived.
func (e *Evidence) journeys(ix Index, packets []packet.Packet) []int {
	type key struct {
		connection, payload int
		protocol            uint8
		id                  uint16
		seq, ack            uint32
		flags               packet.TCPFlags
		back                bool
	}
	type hop struct {
		at        string
		direction packet.Direction
	}
	type journey struct {
		number  int
		hops    []hop
		arrived bool
	}
	out := make([]int, len(packets))
	under := map[key][]*journey{} // in the order in which they began
	n := 0
	for i := range packets {
		p := &packets[i]
		id := ix.Packet(p)
		k := key{id, p.Payload, p.Protocol, p.ID, p.Seq, p.Ack, p.Flags, ix.at(ends{client: p.Src}, p.Time).ID == 0}
		h := hop{p.At, p.Direction}
		var j *journey
		if begins := p.Direction == packet.Out && !e.forwards(p.At); !begins {
			if at := slices.IndexFunc(under[k], func(j *journey) bool { return !j.arrived && !slices.Contains(j.hops, h) }); at >= 0 {
				j = under[k][at]
			}
		}
		if j == nil {
			n++
			j = &journey{number: n}
			under[k] = append(under[k], j)
		}
		j.hops = append(j.hops, h)
		j.arrived = p.Direction == packet.In && (p.At == e.ClientAt || e.Pods[p.Dst.Addr()] == p.At)
		out[i] = j.number
	}
	return out
}
