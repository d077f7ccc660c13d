package nlmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// Sizes and numbers of include/uapi/linux/netlink.h and netfilter/nfnetlink.h. They stand here, and are not taken from
// golang.org/x/sys/unix, so that decoding compiles on any system.
const (
	HeaderLen    = 16 // struct nlmsghdr
	NetfilterLen = 4  // struct nfgenmsg, which follows it in every message of netfilter

	Error = 2 // NLMSG_ERROR
	Done  = 3 // NLMSG_DONE
)

// ErrMalformed is in the chain of every decoding error: the bytes are not whole netlink messages.
var ErrMalformed = errors.New("malformed netlink message")

// Header is what matters of struct nlmsghdr.
type Header struct {
	Type, Flags      uint16
	Sequence, PortID uint32
}

// Each calls f for every message of a datagram, with what follows its struct nlmsghdr, and ends at the first error. An
// error of its own matches [ErrMalformed].
func Each(datagram []byte, f func(h Header, payload []byte) error) error {
	for offset := 0; offset < len(datagram); {
		b := datagram[offset:]
		if len(b) < HeaderLen {
			return fmt.Errorf("%w: %d bytes where a message's header of %d should be", ErrMalformed, len(b), HeaderLen)
		}
		length := binary.NativeEndian.Uint32(b)
		if length < HeaderLen || uint64(length) > uint64(len(b)) {
			return fmt.Errorf("%w: message at byte %d says %d bytes, %d are left", ErrMalformed, offset, length, len(b))
		}
		h := Header{
			Type:     binary.NativeEndian.Uint16(b[4:]),
			Flags:    binary.NativeEndian.Uint16(b[6:]),
			Sequence: binary.NativeEndian.Uint32(b[8:]),
			PortID:   binary.NativeEndian.Uint32(b[12:]),
		}
		if err := f(h, b[HeaderLen:length]); err != nil {
			return err
		}
		offset += Align(int(length))
	}
	return nil
}

// Errno reads the negative errno at the beginning of an [Error] or [Done] message: nil for 0, an acknowledgement or the
// regular end.
func Errno(payload []byte) error {
	if len(payload) < 4 {
		return fmt.Errorf("%w: %d bytes where an error number should be", ErrMalformed, len(payload))
	}
	if n := int32(binary.NativeEndian.Uint32(payload)); n != 0 {
		return syscall.Errno(-n)
	}
	return nil
}

// Align rounds up to NLMSG_ALIGNTO and NLA_ALIGNTO, which are equal.
func Align(n int) int { return (n + 3) &^ 3 }
