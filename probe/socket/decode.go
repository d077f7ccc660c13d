package socket

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// decode reads one datagram of the kernel's answer to a SOCK_DIAG_BY_FAMILY request for TCP and appends its sockets: a
// row of messages with struct inet_diag_msg and attributes. Done says that it held the last message of the answer. An
// error that the kernel sent instead matches its errno (syscall.ENOENT); bytes that make no sense match
// nlmsg.ErrMalformed.
func decode(sockets []Socket, datagram []byte) (_ []Socket, done bool, err error) {
	err = nlmsg.Each(datagram, func(h nlmsg.Header, payload []byte) error {
		switch {
		case done: // what follows the end is no part of the answer
		case h.Type == nlmsg.Done, h.Type == nlmsg.Error:
			done = true
			return nlmsg.Errno(payload)
		case h.Type == diagByFamily, h.Type == diagTCP: // a socket comes as what was asked with
			s, malformed := decodeSocket(payload)
			if malformed != nil {
				return malformed
			}
			sockets = append(sockets, s)
		}
		return nil
	})
	return sockets, done, err
}

// decodeSocket reads struct inet_diag_msg and its attributes.
func decodeSocket(b []byte) (Socket, error) {
	if len(b) < diagMessageLen {
		return Socket{}, fmt.Errorf("%w: inet_diag_msg of %d bytes, not %d", nlmsg.ErrMalformed, len(b), diagMessageLen)
	}
	var s Socket
	s.State = State(b[1])
	s.Timer.Kind = TimerKind(b[2])
	retransmits := int(b[3])
	var err error
	if s.Local, s.Remote, err = decodeAddresses(b[0], b[4:40]); err != nil {
		return Socket{}, err
	}
	s.Interface = binary.NativeEndian.Uint32(b[40:])
	s.Cookie = uint64(binary.NativeEndian.Uint32(b[44:])) | uint64(binary.NativeEndian.Uint32(b[48:]))<<32
	if s.Timer.Kind != Off {
		s.Timer.Expires = milliseconds(b[52:])
	}
	s.RecvQueue = int(binary.NativeEndian.Uint32(b[56:]))
	s.SendQueue = int(binary.NativeEndian.Uint32(b[60:]))
	s.UID = binary.NativeEndian.Uint32(b[64:])
	s.Inode = binary.NativeEndian.Uint32(b[68:])
	// The one number of inet_diag_msg means either; tcp_info, if it is there, gives both.
	switch s.Timer.Kind {
	case Retransmit:
		s.Timer.Retransmits = retransmits
	case Keepalive, Probe:
		s.Timer.Probes = retransmits
	}
	return s, s.decodeAttributes(b[diagMessageLen:])
}

// decodeAddresses reads struct inet_diag_sockid up to the addresses.
func decodeAddresses(family uint8, id []byte) (local, remote netip.AddrPort, err error) {
	size := 4
	switch family {
	case familyIPv4:
	case familyIPv6:
		size = 16
	default:
		return local, remote, fmt.Errorf("%w: address family %d", nlmsg.ErrMalformed, family)
	}
	address := func(at int, port []byte) netip.AddrPort {
		a, _ := netip.AddrFromSlice(id[at : at+size])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
	}
	return address(4, id), address(20, id[2:]), nil
}

func (s *Socket) decodeAttributes(b []byte) error {
	return nlmsg.EachAttribute(b, func(a nlmsg.Attribute) error {
		if a.Type != diagInfo {
			return nil
		}
		return s.decodeInfo(a.Value)
	})
}

// decodeInfo reads struct tcp_info, which has grown with the kernel.
func (s *Socket) decodeInfo(b []byte) error {
	if len(b) < infoLen {
		return fmt.Errorf("%w: tcp_info of %d bytes, not %d or more", nlmsg.ErrMalformed, len(b), infoLen)
	}
	number := func(at int) int { return int(binary.NativeEndian.Uint32(b[at:])) }
	microseconds := func(at int) time.Duration { return time.Duration(number(at)) * time.Microsecond }
	s.Timer.Retransmits, s.Timer.Probes = int(b[2]), int(b[3])
	info := &Info{
		Backoff:          int(b[4]),
		RTO:              microseconds(8),
		Unacked:          number(24),
		Lost:             number(32),
		LastDataSent:     milliseconds(b[44:]),
		LastDataReceived: milliseconds(b[52:]),
		LastAckReceived:  milliseconds(b[56:]),
		RTT:              microseconds(68),
		Retransmits:      number(100),
	}
	if len(b) >= infoBytesLen {
		info.BytesAcked = binary.NativeEndian.Uint64(b[120:])
		info.BytesReceived = binary.NativeEndian.Uint64(b[128:])
	}
	if len(b) >= infoNotSentAt+4 {
		info.NotSent = binary.NativeEndian.Uint32(b[infoNotSentAt:])
	}
	if len(b) >= infoLongLen {
		info.BytesSent = binary.NativeEndian.Uint64(b[infoSentAt:])
		info.BytesRetransmitted = binary.NativeEndian.Uint64(b[infoSentAt+8:])
	}
	if len(b) >= infoWindowAt+4 {
		info.Window = number(infoWindowAt)
	}
	s.Info = info
	return nil
}

func milliseconds(b []byte) time.Duration {
	return time.Duration(binary.NativeEndian.Uint32(b)) * time.Millisecond
}
