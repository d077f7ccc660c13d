package evidence

import (
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
)

// journeys numbers the packets: the same packet has the same number at every hop. Translation changes addresses and
// leaves the numbers in the segment alone, so a packet is the same as one before it if these are equal, it belongs to
// the same connection, it has not been at this hop in this direction yet, and it does not begin here: a pod passes
// nothing on, what goes out of it is new. (UDP has no numbers; an answer of another pod would be taken for the first's.)
func (e *Evidence) journeys(ix Index, packets []packet.Packet) []int {
	type key struct {
		connection, payload int
		protocol            uint8
		seq, ack            uint32
		flags               packet.TCPFlags
		back                bool
	}
	type hop struct {
		at        string
		direction packet.Direction
	}
	type journey struct {
		number int
		hops   []hop
	}
	out := make([]int, len(packets))
	last := map[key]*journey{}
	n := 0
	for i := range packets {
		p := &packets[i]
		id := ix.Packet(p)
		k := key{id, p.Payload, p.Protocol, p.Seq, p.Ack, p.Flags, ix.at(ends{client: p.Src}, p.Time).ID == 0}
		h := hop{p.At, p.Direction}
		j := last[k]
		if begins := p.Direction == packet.Out && !e.forwards(p.At); j == nil || begins || slices.Contains(j.hops, h) {
			n++
			j = &journey{number: n}
			last[k] = j
		}
		j.hops = append(j.hops, h)
		out[i] = j.number
	}
	return out
}
