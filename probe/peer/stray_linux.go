package peer

import (
	"errors"
	"fmt"
	"net"
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
		err = ns.Do(func() error { return s.write(packet) })
	}
	if err != nil {
		return fmt.Errorf("stray segment from %s: %w", ns.Name(), err)
	}
	return nil
}

func (s Stray) write(packet []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Addr: s.Dst.Addr().As4()}
	return errors.Join(unix.Sendto(fd, packet, 0, to), unix.Close(fd))
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

// Queues of TCP_REPAIR_QUEUE, and the end of repair that sends no window probe (include/uapi/linux/tcp.h).
const (
	repairRecvQueue = 1
	repairSendQueue = 2
	repairOffNoWP   = -1
)

// Numbers are the sequence number that the socket will send next and the one that it expects next, as the kernel has
// them. They are read by TCP_REPAIR, which is for moving sockets to other machines and changes nothing if it is ended
// at once. It needs CAP_NET_ADMIN over the socket's namespace.
func (c *Conn) Numbers() (next, expected uint32, err error) {
	tcp, ok := c.socket.(*net.TCPConn)
	if !ok {
		return 0, 0, unix.EOPNOTSUPP
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	read := func(fd, queue int) (uint32, error) {
		if failed := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, queue); failed != nil {
			return 0, failed
		}
		n, failed := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
		return uint32(n), failed
	}
	cerr := raw.Control(func(number uintptr) {
		fd := int(number)
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1); err != nil {
			return
		}
		var errs [2]error
		next, errs[0] = read(fd, repairSendQueue)
		expected, errs[1] = read(fd, repairRecvQueue)
		err = errors.Join(errs[0], errs[1], unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOffNoWP))
	})
	if err = errors.Join(err, cerr); err != nil {
		return 0, 0, fmt.Errorf("TCP_REPAIR: %w", err)
	}
	return next, expected, nil
}
