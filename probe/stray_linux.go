package probe

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// Stray is a TCP segment that no socket has sent: what a retransmission that comes far too late, or an attacker, puts
// on the wire. It carries MessageSize bytes, a RST none.
type Stray struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	RST      bool
}

// Send puts the segment on the wire from a namespace with a raw socket. It needs CAP_NET_RAW there.
func (s Stray) Send(ns *topology.Namespace) error {
	packet, err := s.packet()
	if err == nil {
		err = ns.Do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return err
			}
			to := &unix.SockaddrInet4{Addr: s.Dst.Addr().As4()}
			return errors.Join(unix.Sendto(fd, packet, 0, to), unix.Close(fd))
		})
	}
	if err != nil {
		return fmt.Errorf("stray segment from %s: %w", ns.Name(), err)
	}
	return nil
}

func (s Stray) packet() ([]byte, error) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: s.Src.Addr().AsSlice(), DstIP: s.Dst.Addr().AsSlice()}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(s.Src.Port()), DstPort: layers.TCPPort(s.Dst.Port()), Seq: s.Seq,
		Window: 502, ACK: !s.RST, RST: s.RST, PSH: !s.RST}
	payload := gopacket.Payload{}
	if !s.RST {
		tcp.Ack, payload = s.Ack, make([]byte, MessageSize)
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, tcp, payload)
	return buf.Bytes(), err
}
