package scenario

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// journeys numbers the packets: the same packet has the same number at every hop. Translation changes addresses and
// leaves the numbers in the segment alone, so a packet is the same as one before it if these are equal, it belongs to
// the same connection, it has not been at this hop in this direction yet, and it does not begin here: a pod passes
// nothing on, what goes out of it is new. (UDP has no numbers; an answer of another pod would be taken for the first's.)
func (e *evidence) journeys(ix index, packets []packet.Packet) []int {
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
	pods := podNames(e)
	n := 0
	for i, p := range packets {
		id := ix.packet(p)
		k := key{id, p.Payload, p.Protocol, p.Seq, p.Ack, p.Flags, ix.at(ends{client: p.Src}, p.Time).id == 0}
		h := hop{p.At, p.Direction}
		j := last[k]
		if begins := p.Direction == packet.Out && slices.Contains(pods, p.At); j == nil || begins || slices.Contains(j.hops, h) {
			n++
			j = &journey{number: n}
			last[k] = j
		}
		j.hops = append(j.hops, h)
		out[i] = j.number
	}
	return out
}

// comments tell why a packet matters, by its place among all packets; most have none.
func (e *evidence) comments(ix index, packets []packet.Packet, stories []*story) map[int]string {
	out := map[int]string{}
	for i, p := range packets {
		id := ix.packet(p)
		if id < 1 || id > len(stories) {
			continue
		}
		if text := e.comment(stories[id-1], p); text != "" {
			out[i] = text
		}
	}
	e.translations(packets, stories, out)
	return out
}

func (e *evidence) comment(s *story, p packet.Packet) string {
	pod := p.At == e.clientAt || slices.Contains(podNames(e), p.At)
	switch {
	case p.Protocol == packet.ICMP && p.Error.Protocol != 0 && p.Direction == packet.Out:
		return fmt.Sprintf("%s says: %s", p.At, p.Error)
	case p.Protocol != packet.TCP:
		return ""
	case p.Flags.Has(packet.RST) && p.Direction == packet.Out && pod:
		return "RST: " + s.whyReset(p)
	case p.Flags.Has(packet.RST) && p.Direction == packet.In && pod && p.Src == e.service:
		return fmt.Sprintf("RST: reaches %s as if the service had sent it", p.At)
	case p.Flags.Has(packet.RST) && p.Direction == packet.In && pod:
		return fmt.Sprintf("RST: reaches %s with the sender's own address", p.At)
	case p.Relative.Repeat == packet.KeepAlive:
		return "keepalive probe"
	case p.Relative.Repeat == packet.Retransmission:
		return "retransmission"
	}
	return ""
}

// whyReset tells why a pod sends a RST: whether one of its programs ever had a socket with these two addresses, or the
// packet that drew it was a SYN.
func (s *story) whyReset(sent packet.Packet) string {
	for _, r := range s.reports {
		if r.At == sent.At && (r.Call == probe.Accept || r.Call == probe.Connect) && r.Err == nil &&
			r.Local == sent.Src && r.Remote == sent.Dst {
			return sent.At + " no longer has this connection"
		}
	}
	var drew packet.Packet
	for _, p := range s.packets { // also of programs that do not report what they do
		switch {
		case p.At != sent.At || p.Time.After(sent.Time):
		case p.Direction == packet.Out && p.Flags.Has(packet.SYN) && p.Src == sent.Src && p.Dst == sent.Dst:
			return sent.At + " no longer has this connection"
		case p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src:
			drew = p
		}
	}
	if drew.Flags.Has(packet.SYN) && !drew.Flags.Has(packet.ACK) {
		return fmt.Sprintf("nothing listens on port %d of %s, which refuses the connection", sent.Src.Port(), sent.At)
	}
	return sent.At + " has no such connection"
}

// translations comments the packets for which an entry was made on the translating node, where they leave it.
func (e *evidence) translations(packets []packet.Packet, stories []*story, out map[int]string) {
	type way struct{ src, dst netip.AddrPort }
	left := map[way][]int{} // what left the node with these addresses, by its place among all packets
	for i, p := range packets {
		if p.At == translating && p.Direction == packet.Out {
			left[way{p.Src, p.Dst}] = append(left[way{p.Src, p.Dst}], i)
		}
	}
	for _, s := range stories {
		before := ""
		for _, ev := range s.events {
			pod := e.pick(ev)
			if ev.Type != conntrack.New || pod == "" {
				continue
			}
			text := fmt.Sprintf("DNAT: a new entry, %s becomes %s (%s)", ev.Original.Dst, ev.Reply.Src, pod)
			if before != "" {
				text = fmt.Sprintf("DNAT: the entry was lost, translated afresh: %s becomes %s (%s), before it was %s",
					ev.Original.Dst, ev.Reply.Src, pod, before)
			}
			before = pod
			of := left[way{ev.Reply.Dst, ev.Reply.Src}]
			n := slices.IndexFunc(of, func(i int) bool { return !packets[i].Time.Before(ev.Time) })
			if n >= 0 && out[of[n]] == "" {
				out[of[n]] = text
			}
		}
	}
}

// packetFacts are the headers of a packet for people and programs that do not want to read its line.
func packetFacts(p packet.Packet, journey int, comment string) *PacketFacts {
	protocol := map[uint8]string{packet.TCP: "TCP", packet.UDP: "UDP", packet.ICMP: "ICMP"}[p.Protocol]
	if protocol == "" {
		protocol = fmt.Sprint(p.Protocol)
	}
	out := &PacketFacts{Journey: journey, Direction: p.Direction.String(), Protocol: protocol, Src: p.Src.String(),
		Dst: p.Dst.String(), Length: p.Payload, Comment: comment}
	if p.Protocol == packet.TCP {
		out.Flags, out.Repeat = p.Flags.String(), p.Relative.Repeat.String()
		out.Seq, out.Ack = int64(p.Relative.Seq), int64(p.Relative.Ack)
	}
	return out
}
