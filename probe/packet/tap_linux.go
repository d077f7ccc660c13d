package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFrame is the longest frame taken whole, libpcap's MAXIMUM_SNAPLEN. Segmentation offload hands over frames
	// far longer than the MTU.
	maxFrame = 256 << 10

	// defaultReceiveBuffer, in bytes, holds some thousand small packets per interface. The kernel charges a small
	// packet with about 1 KiB.
	defaultReceiveBuffer = 4 << 20
)

// tap is one packet socket on one interface.
//
// It is a plain AF_PACKET socket because the library's handle (gopacket's pcapgo.EthernetHandle) does not tell sent
// from received packets, gives no way to read without waiting, keeps 256 KiB for each interface, and sees packets of
// the other interfaces until it is bound.
type tap struct {
	file *os.File
	raw  syscall.RawConn
	hop  Hop
	err  error // why it can be read no more
}

// open makes the socket. It runs inside the namespace.
func (t *tap) open(receiveBuffer int) error {
	// With protocol 0 the socket sees nothing until it is bound, and so never a packet of another interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socket(AF_PACKET): %w", err)
	}
	if err := configure(fd, receiveBuffer); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	if err := bind(fd, t.hop.Interface); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	t.file = os.NewFile(uintptr(fd), "packet socket of "+t.hop.At)
	t.raw, err = t.file.SyscallConn()
	if err != nil {
		return errors.Join(err, t.file.Close())
	}
	return nil
}

// configure sets everything that must be in place before the first packet.
func configure(fd, receiveBuffer int) error {
	// SO_RCVBUFFORCE needs CAP_NET_ADMIN in the first user namespace. Without it the kernel cuts the size down to
	// net.core.rmem_max; what is lost then is counted.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return fmt.Errorf("setsockopt(SO_RCVBUF): %w", err)
		}
	}
	// The _NEW form (Linux 5.1) has 64-bit seconds on every architecture.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1); err != nil {
		return fmt.Errorf("setsockopt(SO_TIMESTAMPNS_NEW): %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("setsockopt(SO_ATTACH_FILTER): %w", err)
	}
	return nil
}

// skfAdPkttype is SKF_AD_OFF + SKF_AD_PKTTYPE of linux/filter.h: "load" sll_pkttype instead of a byte of the frame.
const skfAdPkttype = 0xfffff000 + 4

// filter lets pass IPv4 that is from or for this host. A bridge that does not know yet where an address lives sends
// frames to all of its ports: what a pod sees of its neighbours that way it has not received. The program is
// `tcpdump -d ip` with a check of PACKET_OTHERHOST in front.
var filter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: skfAdPkttype},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PACKET_OTHERHOST, Jt: 3},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12}, // the ethertype
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.ETH_P_IP, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: maxFrame},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// bind starts the delivery of packets. The protocol is ETH_P_ALL and the filter picks IPv4, because a socket bound to
// ETH_P_IP is not shown what the host sends.
func bind(fd int, iface string) error {
	request, err := unix.NewIfreq(iface)
	if err != nil {
		return fmt.Errorf("interface name %q: %w", iface, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return fmt.Errorf("find the interface: %w", err)
	}
	address := unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: int(request.Uint32())}
	if err := unix.Bind(fd, &address); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// networkOrder is htons(3).
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// receive takes one packet from the socket, without waiting; more is false when there is none. A frame that is no IPv4
// packet gives a Packet with Protocol 0.
func (t *tap) receive(fd int, frame []byte, d *decoder) (p Packet, more bool, err error) {
	var control [64]byte
	n, controlLen, _, from, err := unix.Recvmsg(fd, frame, control[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return p, false, nil
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
		// ENETDOWN is told once when the interface goes down or away; packets queued before it are still there.
		return p, true, nil
	case err != nil:
		return p, false, fmt.Errorf("recvmsg: %w", err)
	}
	stamp, err := timestamp(control[:controlLen])
	if err != nil {
		return p, false, err
	}
	data := slices.Clone(frame[:min(n, len(frame))])
	p, _ = d.decode(data) // what could be read of a broken packet is worth showing; its bytes are in Data
	p.At, p.Interface, p.Time, p.Length = t.hop.At, t.hop.Interface, stamp, n
	p.Direction = In
	if sll, ok := from.(*unix.SockaddrLinklayer); ok && sll.Pkttype == unix.PACKET_OUTGOING {
		p.Direction = Out
	}
	return p, true, nil
}

// timestamp reads the SCM_TIMESTAMPNS_NEW message: struct __kernel_timespec, seconds and nanoseconds since 1970.
func timestamp(control []byte) (time.Time, error) {
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil {
		return time.Time{}, fmt.Errorf("a packet came without its timestamp: %w", err)
	}
	if header.Level != unix.SOL_SOCKET || header.Type != unix.SO_TIMESTAMPNS_NEW || len(data) < 16 {
		return time.Time{}, fmt.Errorf("a packet came with control message %d/%d instead of its timestamp",
			header.Level, header.Type)
	}
	seconds, nanoseconds := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
	return time.Unix(int64(seconds), int64(nanoseconds)), nil
}

// count takes the number of packets lost since the last count out of the kernel, which forgets it.
func (t *tap) count() error {
	var stats *unix.TpacketStats
	var err error
	if e := t.raw.Control(func(fd uintptr) {
		stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("getsockopt(PACKET_STATISTICS) for %s: %w", t.hop.At, err)
	}
	t.hop.Dropped += int(stats.Drops)
	return nil
}

// fail notes why the tap can be read no more; the first reason stays.
func (t *tap) fail(err error) {
	if t.err == nil {
		t.err = fmt.Errorf("capture on %s of %s: %w", t.hop.Interface, t.hop.At, err)
	}
}
