package account

import (
	"github.com/ctsim/ctsim/evidence"

	"fmt"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// Comments tell why a packet matters, by its place among all packets; most have none.
func Comments(e *evidence.Evidence, ix evidence.Index, packets []packet.Packet, accounts []*Account) map[int]string {
	out := map[int]string{}
	for i := range packets {
		p := &packets[i]
		id := ix.Packet(p)
		if id < 1 || id > len(accounts) {
			continue
		}
		if text := comment(e, accounts[id-1], p); text != "" {
			out[i] = text
		}
	}
	translations(e, packets, accounts, out)
	return out
}

func comment(e *evidence.Evidence, a *Account, p *packet.Packet) string {
	pod := p.At == e.ClientAt || e.IsPod(p.At)
	switch {
	case p.Protocol == packet.ICMP && p.Error.Protocol != 0 && p.Direction == packet.Out:
		return fmt.Sprintf("%s says: %s", p.At, p.Error)
	case p.Protocol != packet.TCP:
		return ""
	case p.Flags.Has(packet.RST) && p.Direction == packet.Out && pod:
		why, _ := a.whyReset(p)
		return "RST: " + why
	case p.Flags.Has(packet.RST) && p.Direction == packet.In && pod && p.Src == e.Service:
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

// whyReset tells why a pod sends a RST, and by which fact it is known: whether one of its programs ever had a socket with
// these two addresses, or the packet that drew it was a SYN. The fact is nil where it is that there was no such socket.
func (a *Account) whyReset(sent *packet.Packet) (why string, known any) {
	for _, r := range a.reports {
		if r.At == sent.At && (r.Call == peer.Accept || r.Call == peer.Connect) && r.Err == nil &&
			r.Local == sent.Src && r.Remote == sent.Dst {
			return sent.At + " no longer has this connection", r
		}
	}
	var drew *packet.Packet
	for _, p := range a.Packets { // also of programs that do not report what they do
		switch {
		case p.At != sent.At || p.Time.After(sent.Time):
		case p.Direction == packet.Out && p.Flags.Has(packet.SYN) && p.Src == sent.Src && p.Dst == sent.Dst:
			return sent.At + " no longer has this connection", p
		case p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src:
			drew = p
		}
	}
	if drew != nil && drew.Flags.Has(packet.SYN) && !drew.Flags.Has(packet.ACK) {
		return fmt.Sprintf("nothing listens on port %d of %s, which refuses the connection", sent.Src.Port(), sent.At), drew
	}
	return sent.At + " has no such connection", nil
}

// translations comments the packets for which an entry was made on a translating node, where they leave it.
func translations(e *evidence.Evidence, packets []packet.Packet, accounts []*Account, out map[int]string) {
	type way struct {
		node     string
		src, dst netip.AddrPort
	}
	left := map[way][]int{} // what left the node with these addresses, by its place among all packets
	for i := range packets {
		p := &packets[i]
		if e.Translates(p.At) && p.Direction == packet.Out {
			left[way{p.At, p.Src, p.Dst}] = append(left[way{p.At, p.Src, p.Dst}], i)
		}
	}
	for _, a := range accounts {
		before := ""
		for _, ev := range a.Events {
			pod := e.Pick(ev)
			if ev.Type != conntrack.New || pod == "" {
				continue
			}
			text := fmt.Sprintf("DNAT: a new entry, %s becomes %s (%s)", ev.Original.Dst, ev.Reply.Src, pod)
			if before != "" {
				text = fmt.Sprintf("DNAT: the entry was lost, translated afresh: %s becomes %s (%s), before it was %s",
					ev.Original.Dst, ev.Reply.Src, pod, before)
			}
			before = pod
			of := left[way{ev.Node, ev.Reply.Dst, ev.Reply.Src}]
			n := slices.IndexFunc(of, func(i int) bool { return !packets[i].Time.Before(ev.Time) })
			if n >= 0 && out[of[n]] == "" {
				out[of[n]] = text
			}
		}
	}
}
