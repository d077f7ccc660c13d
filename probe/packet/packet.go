package packet

import (
	"net/netip"
	"slices"
	"time"
)

// IP protocol numbers (IPPROTO_*) of the packets that are decoded beyond their addresses.
const (
	ICMP uint8 = 1
	TCP  uint8 = 6
	UDP  uint8 = 17
)

// Direction says whether a namespace sent or received a packet.
type Direction uint8

// The directions. They come from sll_pkttype of struct sockaddr_ll: PACKET_OUTGOING is Out, the rest In.
const (
	Unknown Direction = iota
	In
	Out
)

// String is "in", "out" or "?".
func (d Direction) String() string {
	switch d {
	case In:
		return "in"
	case Out:
		return "out"
	default:
		return "?"
	}
}

// Packet is one IPv4 packet as it was at one hop: the addresses are those at that hop, translated or not.
// Two hops that saw the same packet give two Packets. The zero value is no packet: Protocol is 0.
type Packet struct {
	At        string    // the pod or node that saw it, the namespace's name
	Interface string    // the interface there, "eth0"
	Time      time.Time // when the kernel saw it, CLOCK_REALTIME in ns (SO_TIMESTAMPNS)
	Direction Direction // seen from At

	Protocol uint8          // IPPROTO_*: TCP, UDP, ICMP or any other
	Src, Dst netip.AddrPort // port 0 where the protocol has none, and in a fragment or broken packet
	ID       uint16         // IP identification: the same at every hop; 0 of packets that Linux sends without a socket of their own

	Flags    TCPFlags // TCP only, as are the next four
	Seq, Ack uint32   // as on the wire; Ack has no meaning without the flag ACK
	Window   uint16   // as on the wire, not scaled
	Relative Relative // Seq and Ack counted from the start of the stream; filled in by Flows.Follow

	Error ICMPError // ICMP only

	Payload int    // bytes after the TCP, UDP or ICMP header; after the IP header for other protocols and fragments
	Length  int    // bytes of the frame on the wire, link header included
	Data    []byte // the frame as captured; shorter than Length when it was cut
}

// ICMPError is an ICMP message and, when it is an error, the packet it complains about.
type ICMPError struct {
	Type, Code uint8          // ICMP_* of linux/icmp.h: 3/3 is port unreachable
	Protocol   uint8          // of the packet complained about; 0 when the message is no error or is cut short
	Src, Dst   netip.AddrPort // of the packet complained about, as its last hop saw them
}

// Sort puts packets into the order of time. Packets with the same time keep their order.
func Sort(packets []Packet) {
	slices.SortStableFunc(packets, func(a, b Packet) int { return a.Time.Compare(b.Time) })
}
