package rulepath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// Flags are a TCP segment's flags, as in byte 13 of its header.
type Flags uint8

// String is the flags as tcpdump prints them, without brackets: "S", "S.", "P.", "R".
func (f Flags) String() string {
	var b strings.Builder
	for i, letter := range []byte("FSRP.UEW") {
		if f&(1<<i) != 0 && letter != '.' {
			b.WriteByte(letter)
		}
	}
	if f&0x10 != 0 {
		b.WriteByte('.')
	}
	return b.String()
}

// Packet is what the headers of a packet said at one place. Addresses, IPID and Seq together find it in a capture.
type Packet struct {
	// Protocol is the IP protocol, 6 for TCP.
	Protocol uint8
	// Src and Dst have port 0 if the protocol has none.
	Src, Dst netip.AddrPort
	// IPID is the identification in the IPv4 header.
	IPID uint16
	// Length is the payload after the TCP header, for other protocols after the IP header, in bytes.
	Length int
	// Seq, Ack and Flags are a TCP segment's, not relative to anything.
	Seq, Ack uint32
	Flags    Flags
}

// String is "172.18.219.65:54124 → 10.108.33.37:2222 [P.]".
func (p Packet) String() string {
	s := fmt.Sprintf("%s → %s", p.Src, p.Dst)
	if p.Flags != 0 {
		s += fmt.Sprintf(" [%s]", p.Flags)
	}
	return s
}

const (
	ipv4Len      = 20
	tcpLen       = 20
	protocolTCP  = 6
	protocolUDP  = 17
	protocolSCTP = 132
)

// decodeNetwork reads an IPv4 header without options (NFTA_TRACE_NETWORK_HEADER).
func (p *Packet) decodeNetwork(b []byte) error {
	if len(b) < ipv4Len || b[0]>>4 != 4 || b[0]&15 < 5 {
		return fmt.Errorf("%w: IPv4 header % x", nlmsg.ErrMalformed, b)
	}
	p.Protocol = b[9]
	p.IPID = binary.BigEndian.Uint16(b[4:])
	p.Length = max(0, int(binary.BigEndian.Uint16(b[2:]))-4*int(b[0]&15))
	src, _ := netip.AddrFromSlice(b[12:16])
	dst, _ := netip.AddrFromSlice(b[16:20])
	p.Src, p.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	return nil
}

// decodeTransport reads the first 20 bytes, or less, after the IP header (NFTA_TRACE_TRANSPORT_HEADER); the kernel
// sends them after the network header.
func (p *Packet) decodeTransport(b []byte) {
	switch p.Protocol {
	case protocolTCP, protocolUDP, protocolSCTP:
	default:
		return
	}
	if len(b) < 4 {
		return
	}
	p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	if p.Protocol != protocolTCP || len(b) < tcpLen {
		return
	}
	p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.Flags = Flags(b[13])
	p.Length = max(0, p.Length-4*int(b[12]>>4))
}
