package packet

import (
	"net/netip"
	"testing"
)

func TestTCPFlags(t *testing.T) {
	for _, c := range []struct {
		flags         TCPFlags
		letters, name string
	}{
		{0, "none", "none"},
		{SYN, "S", "SYN"},
		{SYN | ACK, "S.", "SYN,ACK"},
		{ACK, ".", "ACK"},
		{PSH | ACK, "P.", "PSH,ACK"},
		{FIN | ACK, "F.", "FIN,ACK"},
		{RST, "R", "RST"},
		{RST | ACK, "R.", "RST,ACK"},
		{SYN | ECE | CWR, "SEW", "SYN,ECE,CWR"},
		{0xff, "FSRP.UEW", "FIN,SYN,RST,PSH,ACK,URG,ECE,CWR"},
	} {
		if got := c.flags.String(); got != c.letters {
			t.Errorf("%#x.String() = %q, want %q", uint8(c.flags), got, c.letters)
		}
		if got := c.flags.Names(); got != c.name {
			t.Errorf("%#x.Names() = %q, want %q", uint8(c.flags), got, c.name)
		}
	}
}

func TestPacketString(t *testing.T) {
	src, dst := netip.MustParseAddrPort(client), netip.MustParseAddrPort(service)
	bare := func(p Packet) Packet {
		p.Src, p.Dst = netip.AddrPortFrom(dst.Addr(), 0), netip.AddrPortFrom(src.Addr(), 0)
		return p
	}
	for _, c := range []struct {
		packet Packet
		want   string
	}{
		{
			Packet{Protocol: TCP, Src: src, Dst: dst, Flags: SYN, Seq: 1000, Window: 64240},
			"172.18.219.65:40000 > 10.108.33.37:2222 [S] seq 1000 win 64240 len 0",
		},
		{
			Packet{
				Protocol: TCP, Src: src, Dst: dst, Flags: PSH | ACK, Seq: 1011, Ack: 2001, Window: 502, Payload: 10,
				Relative: Relative{Known: true, Seq: 11, Ack: 1},
			},
			"172.18.219.65:40000 > 10.108.33.37:2222 [P.] seq 11:21 ack 1 win 502 len 10",
		},
		{
			Packet{
				Protocol: TCP, Src: src, Dst: dst, Flags: ACK, Seq: 1020, Ack: 2001, Window: 502,
				Relative: Relative{Known: true, Seq: 20, Ack: 1, Repeat: KeepAlive},
			},
			"172.18.219.65:40000 > 10.108.33.37:2222 [.] seq 20 ack 1 win 502 len 0 (keep-alive)",
		},
		{
			Packet{
				Protocol: TCP, Src: src, Dst: dst, Flags: PSH | ACK, Payload: 10,
				Relative: Relative{Known: true, Seq: 11, Ack: 1, Repeat: Retransmission},
			},
			"172.18.219.65:40000 > 10.108.33.37:2222 [P.] seq 11:21 ack 1 win 0 len 10 (retransmission)",
		},
		{
			Packet{Protocol: TCP, Src: dst, Dst: src, Flags: RST, Relative: Relative{Known: true, Seq: 11}},
			"10.108.33.37:2222 > 172.18.219.65:40000 [R] seq 11 win 0 len 0",
		},
		{
			Packet{Protocol: UDP, Src: src, Dst: dst, Payload: 5},
			"172.18.219.65:40000 > 10.108.33.37:2222 udp len 5",
		},
		{bare(Packet{Protocol: TCP, Payload: 8}), "10.108.33.37 > 172.18.219.65 tcp len 8"},
		{bare(Packet{Protocol: 132, Payload: 4}), "10.108.33.37 > 172.18.219.65 proto 132 len 4"},
		{
			bare(Packet{Protocol: ICMP, Error: ICMPError{Type: 3, Code: 3, Protocol: TCP, Src: src, Dst: dst}}),
			"10.108.33.37 > 172.18.219.65 icmp port unreachable for tcp 172.18.219.65:40000 > 10.108.33.37:2222",
		},
		{bare(Packet{Protocol: ICMP, Error: ICMPError{Type: 3, Code: 13}}), "10.108.33.37 > 172.18.219.65 icmp admin prohibited"},
		{bare(Packet{Protocol: ICMP, Error: ICMPError{Type: 3, Code: 15}}), "10.108.33.37 > 172.18.219.65 icmp type 3 code 15"},
		{bare(Packet{Protocol: ICMP, Error: ICMPError{Type: 8}}), "10.108.33.37 > 172.18.219.65 icmp echo request"},
		{bare(Packet{Protocol: ICMP}), "10.108.33.37 > 172.18.219.65 icmp echo reply"},
	} {
		if got := c.packet.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
