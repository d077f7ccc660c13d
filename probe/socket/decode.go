package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// ErrMalformed is in the chain of every decoding error: the bytes are not a complete sock_diag message.
var ErrMalformed = errors.New("malformed sock_diag message")

// Decode reads one datagram of the kernel's answer to a SOCK_DIAG_BY_FAMILY request for TCP: a row of struct nlmsghdr
// with struct inet_diag_msg and attributes. Done says that it held the last message of the answer. An error that the
// kernel sent instead matches its errno (syscall.ENOENT); bytes that make no sense match [ErrMalformed].
func Decode(datagram []byte) (sockets []Socket, done bool, err error) {
	return decode(nil, datagram)
}

// decode appends to sockets.
func decode(sockets []Socket, datagram []byte) (_ []Socket, done bool, err error) {
	for len(datagram) > 0 {
		if len(datagram) < headerLen {
			return sockets, false, fmt.Errorf("%w: %d bytes where a header of %d should be", ErrMalformed, len(datagram), headerLen)
		}
		length := int(binary.NativeEndian.Uint32(datagram))
		if length < headerLen || length > len(datagram) {
			return sockets, false, fmt.Errorf("%w: message says %d bytes, %d are left", ErrMalformed, length, len(datagram))
		}
		payload := datagram[headerLen:length]
		switch kind := binary.NativeEndian.Uint16(datagram[4:]); kind {
		case msgDone:
			return sockets, true, answerError(payload)
		case msgError:
			return sockets, true, answerError(payload)
		case diagByFamily:
			s, err := decodeSocket(payload)
			if err != nil {
				return sockets, false, err
			}
			sockets = append(sockets, s)
		}
		datagram = datagram[min(align4(length), len(datagram)):]
	}
	return sockets, false, nil
}

// answerError reads the negative errno of NLMSG_ERROR and NLMSG_DONE, nil for 0.
func answerError(payload []byte) error {
	if len(payload) < 4 {
		return fmt.Errorf("%w: %d bytes where an error number should be", ErrMalformed, len(payload))
	}
	if n := int32(binary.NativeEndian.Uint32(payload)); n != 0 {
		return syscall.Errno(-n)
	}
	return nil
}

// decodeSocket reads struct inet_diag_msg and its attributes.
func decodeSocket(b []byte) (Socket, error) {
	if len(b) < diagMessageLen {
		return Socket{}, fmt.Errorf("%w: inet_diag_msg of %d bytes, not %d", ErrMalformed, len(b), diagMessageLen)
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
		return local, remote, fmt.Errorf("%w: address family %d", ErrMalformed, family)
	}
	address := func(at int, port []byte) netip.AddrPort {
		a, _ := netip.AddrFromSlice(id[at : at+size])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
	}
	return address(4, id), address(20, id[2:]), nil
}

func (s *Socket) decodeAttributes(b []byte) error {
	for len(b) > 0 {
		if len(b) < attrHeaderLen {
			return fmt.Errorf("%w: %d bytes where an attribute's header of %d should be", ErrMalformed, len(b), attrHeaderLen)
		}
		length := int(binary.NativeEndian.Uint16(b))
		kind := binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
		if length < attrHeaderLen || length > len(b) {
			return fmt.Errorf("%w: attribute %d says %d bytes, %d are left", ErrMalformed, kind, length, len(b))
		}
		if kind == diagInfo {
			if err := s.decodeInfo(b[attrHeaderLen:length]); err != nil {
				return err
			}
		}
		b = b[min(align4(length), len(b)):]
	}
	return nil
}

// decodeInfo reads struct tcp_info, which has grown with the kernel.
func (s *Socket) decodeInfo(b []byte) error {
	if len(b) < infoLen {
		return fmt.Errorf("%w: tcp_info of %d bytes, not %d or more", ErrMalformed, len(b), infoLen)
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
	s.Info = info
	return nil
}

func milliseconds(b []byte) time.Duration {
	return time.Duration(binary.NativeEndian.Uint32(b)) * time.Millisecond
}

// align4 rounds up to NLMSG_ALIGNTO and NLA_ALIGNTO, which are equal.
func align4(n int) int { return (n + 3) &^ 3 }
