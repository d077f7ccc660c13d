package packet

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

const (
	client  = "172.18.219.65:40000"
	service = "10.108.33.37:2222"
)

// serialize builds a frame from layers, with lengths and checksums filled in. The Ethernet header is put in front.
func serialize(t testing.TB, ethertype layers.EthernetType, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	ethernet := &layers.Ethernet{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: ethertype,
	}
	return bytesOf(t, append([]gopacket.SerializableLayer{ethernet}, parts...)...)
}

func bytesOf(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ipv4(src, dst string, protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, TTL: 64, Protocol: protocol,
		SrcIP: netip.MustParseAddrPort(src).Addr().AsSlice(), DstIP: netip.MustParseAddrPort(dst).Addr().AsSlice(),
	}
}

// tcpParts is a segment from the client to the service that mutate may change.
func tcpParts(t testing.TB, payload string, mutate func(*layers.TCP)) []gopacket.SerializableLayer {
	t.Helper()
	ip := ipv4(client, service, layers.IPProtocolTCP)
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 2222, Seq: 1000, Ack: 2000, Window: 502}
	mutate(tcp)
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return []gopacket.SerializableLayer{ip, tcp, gopacket.Payload(payload)}
}

func tcpFrame(t testing.TB, payload string, mutate func(*layers.TCP)) []byte {
	t.Helper()
	return serialize(t, layers.EthernetTypeIPv4, tcpParts(t, payload, mutate)...)
}

func udpFrame(t testing.TB) []byte {
	t.Helper()
	ip := ipv4(client, service, layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: 40000, DstPort: 2222}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, layers.EthernetTypeIPv4, ip, udp, gopacket.Payload("hello"))
}

// unreachableFrame is the node's answer to the client's first segment; quote is how many bytes of it come back.
func unreachableFrame(t testing.TB, quote int) []byte {
	t.Helper()
	inner := bytesOf(t, tcpParts(t, "0123456789", func(tcp *layers.TCP) { tcp.SYN = true })...)
	return serialize(t, layers.EthernetTypeIPv4, ipv4(service, client, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 3)}, gopacket.Payload(inner[:quote]))
}

func TestDecode(t *testing.T) {
	fragment := ipv4(client, service, layers.IPProtocolTCP)
	fragment.FragOffset = 100
	addresses := func(p Packet, ports bool) Packet {
		p.Src, p.Dst = netip.MustParseAddrPort(client), netip.MustParseAddrPort(service)
		if !ports {
			p.Src, p.Dst = netip.AddrPortFrom(p.Src.Addr(), 0), netip.AddrPortFrom(p.Dst.Addr(), 0)
		}
		return p
	}
	back := func(e ICMPError) Packet {
		p := addresses(Packet{Protocol: ICMP}, false)
		p.Src, p.Dst, p.Error = p.Dst, p.Src, e
		return p
	}
	to, from := netip.MustParseAddrPort(service), netip.MustParseAddrPort(client)
	for _, c := range []struct {
		name  string
		frame []byte
		want  Packet
	}{
		{
			"SYN with options",
			tcpFrame(t, "", func(tcp *layers.TCP) {
				tcp.SYN, tcp.Ack = true, 0
				tcp.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
			}),
			addresses(Packet{Protocol: TCP, Flags: SYN, Seq: 1000, Window: 502}, true),
		},
		{
			"data",
			tcpFrame(t, "0123456789", func(tcp *layers.TCP) { tcp.PSH, tcp.ACK = true, true }),
			addresses(Packet{Protocol: TCP, Flags: PSH | ACK, Seq: 1000, Ack: 2000, Window: 502, Payload: 10}, true),
		},
		{
			"all flags",
			tcpFrame(t, "", func(tcp *layers.TCP) {
				tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR = true, true, true, true, true, true, true, true
			}),
			addresses(Packet{Protocol: TCP, Flags: 0xff, Seq: 1000, Ack: 2000, Window: 502}, true),
		},
		{
			"padded to Ethernet's minimum",
			append(tcpFrame(t, "", func(tcp *layers.TCP) { tcp.RST = true }), make([]byte, 6)...),
			addresses(Packet{Protocol: TCP, Flags: RST, Seq: 1000, Ack: 2000, Window: 502}, true),
		},
		{
			"payload cut off",
			tcpFrame(t, "0123456789", func(tcp *layers.TCP) { tcp.ACK = true })[:14+20+20+3],
			addresses(Packet{Protocol: TCP, Flags: ACK, Seq: 1000, Ack: 2000, Window: 502, Payload: 10}, true),
		},
		{"UDP", udpFrame(t), addresses(Packet{Protocol: UDP, Payload: 5}, true)},
		{
			"fragment",
			serialize(t, layers.EthernetTypeIPv4, fragment, gopacket.Payload("01234567")),
			addresses(Packet{Protocol: TCP, Payload: 8}, false),
		},
		{
			"other protocol",
			serialize(t, layers.EthernetTypeIPv4, ipv4(client, service, layers.IPProtocolSCTP), gopacket.Payload("0123")),
			addresses(Packet{Protocol: 132, Payload: 4}, false),
		},
		{
			"port unreachable", unreachableFrame(t, 28),
			func() Packet {
				p := back(ICMPError{Type: 3, Code: 3, Protocol: TCP, Src: from, Dst: to})
				p.Payload = 28
				return p
			}(),
		},
		{
			"port unreachable without the quoted packet", unreachableFrame(t, 0),
			back(ICMPError{Type: 3, Code: 3}),
		},
		{
			"echo request",
			serialize(t, layers.EthernetTypeIPv4, ipv4(service, client, layers.IPProtocolICMPv4),
				&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)}),
			back(ICMPError{Type: 8}),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newDecoder().decode(c.frame)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Data, c.want.Length = c.frame, len(c.frame)
			if diff := cmp.Diff(c.want, got, equateAddrs); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

var equateAddrs = cmpopts.EquateComparable(netip.AddrPort{})

func TestDecodeNotIPv4(t *testing.T) {
	for name, ethertype := range map[string]layers.EthernetType{
		"ARP": layers.EthernetTypeARP, "IPv6": layers.EthernetTypeIPv6, "unknown": 0x88cc,
	} {
		p, err := newDecoder().decode(serialize(t, ethertype, gopacket.Payload(make([]byte, 46))))
		if !errors.Is(err, ErrNotIPv4) || p.Protocol != 0 {
			t.Errorf("%s: protocol %d, error %v, want ErrNotIPv4", name, p.Protocol, err)
		}
	}
}

// A frame cut anywhere within its headers is an error, and what was whole before the cut is there.
func TestDecodeTruncated(t *testing.T) {
	frame := tcpFrame(t, "", func(tcp *layers.TCP) { tcp.ACK = true })[:14+20+20]
	for n := range len(frame) {
		p, err := newDecoder().decode(frame[:n])
		if err == nil || errors.Is(err, ErrNotIPv4) {
			t.Errorf("%d bytes: error %v", n, err)
		}
		if hasAddresses := p.Src.Addr().IsValid(); hasAddresses != (n >= 14+20) {
			t.Errorf("%d bytes: source %v", n, p.Src)
		}
		if p.Src.IsValid() && p.Src.Port() != 0 || p.Flags != 0 {
			t.Errorf("%d bytes: %s", n, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(tcpFrame(f, "0123456789", func(tcp *layers.TCP) { tcp.PSH, tcp.ACK = true, true }))
	f.Add(udpFrame(f))
	f.Add(unreachableFrame(f, 28))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, err := newDecoder().decode(frame)
		if p.Length != len(frame) || p.Payload < 0 {
			t.Errorf("length %d, payload %d of a frame of %d bytes", p.Length, p.Payload, len(frame))
		}
		if err == nil && (p.Protocol != frame[14+9] || !p.Src.Addr().Is4() || !p.Dst.Addr().Is4()) {
			t.Errorf("no error, but %s", p)
		}
		var flows Flows
		if flows.Follow(p).String() == "" {
			t.Error("an empty line")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	frame := tcpFrame(b, "0123456789", func(tcp *layers.TCP) { tcp.PSH, tcp.ACK = true, true })
	d := newDecoder()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecodeIdentification: the IP identification is read as it is on the wire.
func TestDecodeIdentification(t *testing.T) {
	ip := ipv4(client, service, layers.IPProtocolUDP)
	ip.Id = 0xbeef
	udp := &layers.UDP{SrcPort: 40000, DstPort: 2222}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	frame := serialize(t, layers.EthernetTypeIPv4, ip, udp, gopacket.Payload("hello"))
	if p, err := newDecoder().decode(frame); err != nil || p.ID != 0xbeef {
		t.Errorf("ID %#x, %v; want 0xbeef", p.ID, err)
	}
}
