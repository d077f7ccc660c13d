package packet

import (
	"fmt"
	"net/netip"
	"strings"
)

// String is the packet in one line, in tcpdump's manner but with the addresses and ports as Go and curl write them:
//
//	172.18.219.65:40000 > 10.108.33.37:2222 [P.] seq 11:21 ack 1 win 502 len 10
//	172.18.219.65:40000 > 10.108.33.37:2222 [.] seq 20 ack 1 win 502 len 0 (keep-alive)
//	10.108.33.37 > 172.18.219.65 icmp port unreachable for tcp 172.18.219.65:40000 > 10.108.33.37:2222
//
// Sequence numbers are relative once Flows.Follow has seen the packet, as on the wire before. Hop, time and direction
// are not part of it. Equivalent: `tcpdump -nt`.
func (p Packet) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s > %s ", endpoint(p.Src), endpoint(p.Dst))
	switch {
	case p.Protocol == TCP && p.Src.Port() != 0:
		p.writeTCP(&b)
	case p.Protocol == ICMP:
		fmt.Fprintf(&b, "icmp %s", p.Error)
	default:
		fmt.Fprintf(&b, "%s len %d", protocolName(p.Protocol), p.Payload)
	}
	return b.String()
}

func (p Packet) writeTCP(b *strings.Builder) {
	seq, ack := p.Seq, p.Ack
	if p.Relative.Known {
		seq, ack = p.Relative.Seq, p.Relative.Ack
	}
	fmt.Fprintf(b, "[%s] seq %d", p.Flags, seq)
	if p.Payload > 0 {
		fmt.Fprintf(b, ":%d", seq+uint32(p.Payload))
	}
	if p.Flags.Has(ACK) {
		fmt.Fprintf(b, " ack %d", ack)
	}
	fmt.Fprintf(b, " win %d len %d", p.Window, p.Payload)
	if p.Relative.Repeat != Fresh {
		fmt.Fprintf(b, " (%s)", p.Relative.Repeat)
	}
}

// unreachable names the codes of ICMP type 3 (ICMP_DEST_UNREACH) as tcpdump does.
var unreachable = map[uint8]string{
	0:  "net unreachable",
	1:  "host unreachable",
	2:  "protocol unreachable",
	3:  "port unreachable",
	4:  "fragmentation needed",
	9:  "net prohibited",
	10: "host prohibited",
	13: "admin prohibited",
}

// String is the message in words, "port unreachable for tcp 172.18.219.65:40000 > 10.108.33.37:2222" or
// "echo request"; one without a name here is "type 13 code 0".
func (e ICMPError) String() string {
	name := fmt.Sprintf("type %d code %d", e.Type, e.Code)
	switch {
	case e.Type == 3 && unreachable[e.Code] != "":
		name = unreachable[e.Code]
	case e.Type == 0:
		name = "echo reply"
	case e.Type == 5:
		name = "redirect"
	case e.Type == 8:
		name = "echo request"
	case e.Type == 11:
		name = "time exceeded"
	}
	if e.Protocol == 0 {
		return name
	}
	return fmt.Sprintf("%s for %s %s > %s", name, protocolName(e.Protocol), endpoint(e.Src), endpoint(e.Dst))
}

// endpoint leaves out a port of 0: the protocol has none, or it could not be read.
func endpoint(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

func protocolName(protocol uint8) string {
	switch protocol {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	default:
		return fmt.Sprintf("proto %d", protocol)
	}
}
