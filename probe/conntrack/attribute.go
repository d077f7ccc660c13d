package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// ErrMalformed is in the chain of every decoding error: the bytes are not a complete ctnetlink message.
var ErrMalformed = errors.New("malformed ctnetlink message")

// eachAttribute calls f for every netlink attribute (struct nlattr) in b, with the flag bits taken off its type.
func eachAttribute(b []byte, f func(kind uint16, value []byte) error) error {
	for offset := 0; offset < len(b); {
		left := len(b) - offset
		if left < attrHeaderLen {
			return fmt.Errorf("%w: %d bytes where an attribute's header of %d should be", ErrMalformed, left, attrHeaderLen)
		}
		length := int(binary.NativeEndian.Uint16(b[offset:]))
		kind := binary.NativeEndian.Uint16(b[offset+2:]) & attrTypeMask
		if length < attrHeaderLen || length > left {
			return fmt.Errorf("%w: attribute %d says %d bytes, %d are left", ErrMalformed, kind, length, left)
		}
		if err := f(kind, b[offset+attrHeaderLen:offset+length]); err != nil {
			return err
		}
		offset += align4(length)
	}
	return nil
}

// align4 rounds up to NLA_ALIGNTO and NLMSG_ALIGNTO, which are equal.
func align4(n int) int { return (n + 3) &^ 3 }

// The readers of one attribute's value. Numbers in ctnetlink are in network byte order. Each reads into a place given by
// the caller and fails unless the value has exactly the size that the kernel's policy gives the attribute.

func read8(name string, v []byte, to *uint8) error {
	if err := sized(name, v, 1); err != nil {
		return err
	}
	*to = v[0]
	return nil
}

func read16(name string, v []byte, to *uint16) error {
	if err := sized(name, v, 2); err != nil {
		return err
	}
	*to = binary.BigEndian.Uint16(v)
	return nil
}

func read32(name string, v []byte, to *uint32) error {
	if err := sized(name, v, 4); err != nil {
		return err
	}
	*to = binary.BigEndian.Uint32(v)
	return nil
}

func read64(name string, v []byte, to *uint64) error {
	if err := sized(name, v, 8); err != nil {
		return err
	}
	*to = binary.BigEndian.Uint64(v)
	return nil
}

// readTime reads nanoseconds since 1970.
func readTime(name string, v []byte, to *time.Time) error {
	var ns uint64
	if err := read64(name, v, &ns); err != nil {
		return err
	}
	*to = time.Unix(0, int64(ns))
	return nil
}

func readAddr(name string, v []byte, size int, to *netip.Addr) error {
	if err := sized(name, v, size); err != nil {
		return err
	}
	*to, _ = netip.AddrFromSlice(v)
	return nil
}

// readString reads text that may or may not end in a zero byte.
func readString(v []byte, to *string) error {
	*to, _, _ = strings.Cut(string(v), "\x00")
	return nil
}

func sized(name string, v []byte, want int) error {
	if len(v) != want {
		return fmt.Errorf("%w: %s has %d bytes, not %d", ErrMalformed, name, len(v), want)
	}
	return nil
}
