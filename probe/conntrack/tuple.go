package conntrack

import (
	"fmt"
	"net/netip"
)

// IP protocol numbers (IPPROTO_TCP …) that have a meaning of their own here.
const (
	ProtocolICMP    uint8 = 1
	ProtocolTCP     uint8 = 6
	ProtocolUDP     uint8 = 17
	ProtocolDCCP    uint8 = 33
	ProtocolGRE     uint8 = 47
	ProtocolICMPv6  uint8 = 58
	ProtocolSCTP    uint8 = 132
	ProtocolUDPLite uint8 = 136
)

// Tuple is one direction of an entry (CTA_TUPLE_ORIG or CTA_TUPLE_REPLY): what a packet of that direction carries. It
// is comparable and can be a map key. The zero value matches no packet.
type Tuple struct {
	// Protocol is the IP protocol number, 6 for TCP.
	Protocol uint8
	// Src and Dst are addresses and ports. The ports are 0 for a protocol without ports; for GRE they are the call keys.
	Src, Dst netip.AddrPort
	// ICMP is set for ICMP and ICMPv6 only.
	ICMP ICMP
}

// ICMP is what tells two ICMP exchanges between the same addresses apart. It is in host byte order.
type ICMP struct {
	Type, Code uint8
	ID         uint16
}

// NewTuple is the original tuple of a connection with ports: NewTuple(ProtocolTCP, client, service). IPv4 addresses in
// IPv6 form, as some of package net's calls give them, become IPv4, so that the tuple equals the kernel's.
func NewTuple(protocol uint8, src, dst netip.AddrPort) Tuple {
	return Tuple{
		Protocol: protocol,
		Src:      netip.AddrPortFrom(src.Addr().Unmap(), src.Port()),
		Dst:      netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port()),
	}
}

// Invert is the tuple of the answers when nothing is translated. ICMP types without a known answer stay as they are.
func (t Tuple) Invert() Tuple {
	r := t
	r.Src, r.Dst = t.Dst, t.Src
	if answer, ok := icmpAnswer(t.Protocol, t.ICMP.Type); ok {
		r.ICMP.Type = answer
	}
	return r
}

// icmpAnswer gives the type that answers an ICMP type, for the pairs the kernel tracks (nf_conntrack_invert_icmp_tuple).
func icmpAnswer(protocol, kind uint8) (answer uint8, ok bool) {
	pairs := [][2]uint8{}
	switch protocol {
	case ProtocolICMP:
		pairs = [][2]uint8{{8, 0}, {13, 14}, {15, 16}, {17, 18}} // echo, timestamp, information, address mask
	case ProtocolICMPv6:
		pairs = [][2]uint8{{128, 129}, {139, 140}} // echo, node information
	}
	for _, p := range pairs {
		switch kind {
		case p[0]:
			return p[1], true
		case p[1]:
			return p[0], true
		}
	}
	return 0, false
}

// String gives the tuple as the conntrack command prints it: `src=… dst=… sport=… dport=…`, for ICMP
// `src=… dst=… type=8 code=0 id=1`, without anything after dst for a protocol that has no such words.
func (t Tuple) String() string {
	s := fmt.Sprintf("src=%s dst=%s", t.Src.Addr(), t.Dst.Addr())
	switch t.Protocol {
	case ProtocolTCP, ProtocolUDP, ProtocolUDPLite, ProtocolSCTP, ProtocolDCCP:
		return s + fmt.Sprintf(" sport=%d dport=%d", t.Src.Port(), t.Dst.Port())
	case ProtocolGRE:
		return s + fmt.Sprintf(" srckey=0x%x dstkey=0x%x", t.Src.Port(), t.Dst.Port())
	case ProtocolICMP, ProtocolICMPv6:
		return s + fmt.Sprintf(" type=%d code=%d id=%d", t.ICMP.Type, t.ICMP.Code, t.ICMP.ID)
	}
	return s
}

// protocolName is the word the conntrack command has for an IP protocol, "unknown" if it has none.
func protocolName(p uint8) string {
	switch p {
	case ProtocolICMP:
		return "icmp"
	case ProtocolTCP:
		return "tcp"
	case ProtocolUDP:
		return "udp"
	case ProtocolDCCP:
		return "dccp"
	case ProtocolGRE:
		return "gre"
	case ProtocolICMPv6:
		return "icmpv6"
	case ProtocolSCTP:
		return "sctp"
	case ProtocolUDPLite:
		return "udplite"
	}
	return "unknown"
}
