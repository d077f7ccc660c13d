package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// ErrNotIPv4 is returned for a frame that carries something else than IPv4: ARP, IPv6.
var ErrNotIPv4 = errors.New("not an IPv4 packet")

// decoder holds the layers that every frame is decoded into, so that a capture does not make them anew per packet.
type decoder struct {
	ethernet layers.Ethernet
	ip       layers.IPv4
	tcp      layers.TCP
	udp      layers.UDP
	icmp     layers.ICMPv4
	inner    layers.IPv4 // the header that an ICMP error quotes

	parser *gopacket.DecodingLayerParser
	found  []gopacket.LayerType
}

func newDecoder() *decoder {
	d := &decoder{}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &d.ethernet, &d.ip, &d.tcp, &d.udp, &d.icmp)
	d.parser.IgnoreUnsupported = true // the payload, fragments, other protocols
	return d
}

// decode reads an Ethernet frame. It fills in everything but At, Interface, Time and Direction; Data is the frame
// itself, not a copy, and Length its length.
//
// A frame that is cut short or broken gives an error together with what could be read, its addresses for instance.
// A frame without an IPv4 packet gives an error that matches ErrNotIPv4. No input makes it panic.
func (d *decoder) decode(frame []byte) (Packet, error) {
	p := Packet{Length: len(frame), Data: frame}
	err := d.parser.DecodeLayers(frame, &d.found)
	ipv4, transport := false, false
	for _, layer := range d.found {
		switch layer {
		case layers.LayerTypeIPv4:
			ipv4 = true
			d.network(&p)
		case layers.LayerTypeTCP:
			transport = true
			d.transportTCP(&p)
		case layers.LayerTypeUDP:
			transport = true
			p.Src, p.Dst = withPorts(p, uint16(d.udp.SrcPort), uint16(d.udp.DstPort))
			p.Payload -= 8
		case layers.LayerTypeICMPv4:
			transport = true
			p.Error = d.transportICMP()
			p.Payload -= 8
		}
	}
	p.Payload = max(p.Payload, 0)
	switch {
	case err != nil:
	case !ipv4 && d.ethernet.EthernetType != layers.EthernetTypeIPv4:
		return p, fmt.Errorf("ethertype %#04x: %w", uint16(d.ethernet.EthernetType), ErrNotIPv4)
	case !ipv4 || !transport && d.wantsTransport():
		err = io.ErrUnexpectedEOF // the parser is content with a frame that ends between two headers
	}
	if err != nil {
		return p, fmt.Errorf("decode a frame of %d bytes: %w", len(frame), err)
	}
	return p, nil
}

// wantsTransport says whether the header behind IPv4's is one that is decoded. Fragments are left alone, the first
// too.
func (d *decoder) wantsTransport() bool {
	if d.ip.FragOffset != 0 || d.ip.Flags&layers.IPv4MoreFragments != 0 {
		return false
	}
	switch d.ip.Protocol {
	case layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolICMPv4:
		return true
	}
	return false
}

// network takes over the addresses. Payload becomes what the IP header says, not what was captured of it.
func (d *decoder) network(p *Packet) {
	p.Protocol, p.ID = uint8(d.ip.Protocol), d.ip.Id
	p.Src, p.Dst = addresses(&d.ip)
	p.Payload = int(d.ip.Length) - 4*int(d.ip.IHL)
}

func (d *decoder) transportTCP(p *Packet) {
	p.Src, p.Dst = withPorts(*p, uint16(d.tcp.SrcPort), uint16(d.tcp.DstPort))
	p.Flags = TCPFlags(d.tcp.Contents[13])
	p.Seq, p.Ack = d.tcp.Seq, d.tcp.Ack
	p.Window = d.tcp.Window
	p.Payload -= 4 * int(d.tcp.DataOffset)
}

// transportICMP reads the message and, of an error, the header it quotes: RFC 792 promises the IP header and eight
// bytes, which hold the ports.
func (d *decoder) transportICMP() ICMPError {
	e := ICMPError{Type: d.icmp.TypeCode.Type(), Code: d.icmp.TypeCode.Code()}
	switch e.Type {
	case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem,
		layers.ICMPv4TypeRedirect, layers.ICMPv4TypeSourceQuench:
	default:
		return e
	}
	if d.inner.DecodeFromBytes(d.icmp.Payload, gopacket.NilDecodeFeedback) != nil {
		return e
	}
	e.Protocol = uint8(d.inner.Protocol)
	e.Src, e.Dst = addresses(&d.inner)
	hasPorts := (e.Protocol == TCP || e.Protocol == UDP) && d.inner.FragOffset == 0
	if rest := d.inner.Payload; hasPorts && len(rest) >= 4 {
		e.Src = netip.AddrPortFrom(e.Src.Addr(), binary.BigEndian.Uint16(rest[0:]))
		e.Dst = netip.AddrPortFrom(e.Dst.Addr(), binary.BigEndian.Uint16(rest[2:]))
	}
	return e
}

func addresses(ip *layers.IPv4) (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip.SrcIP)), 0),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip.DstIP)), 0)
}

func withPorts(p Packet, src, dst uint16) (netip.AddrPort, netip.AddrPort) {
	return netip.AddrPortFrom(p.Src.Addr(), src), netip.AddrPortFrom(p.Dst.Addr(), dst)
}
