package rulepath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed is in the chain of every decoding error: the bytes are not a complete nf_tables message.
var ErrMalformed = errors.New("malformed nf_tables message")

// eachMessage calls f for every netlink message in a datagram. The payload is without struct nlmsghdr.
func eachMessage(datagram []byte, f func(h header, payload []byte) error) error {
	for len(datagram) > 0 {
		if len(datagram) < headerLen {
			return fmt.Errorf("%w: %d bytes where a header of %d should be", ErrMalformed, len(datagram), headerLen)
		}
		length := int(binary.NativeEndian.Uint32(datagram))
		if length < headerLen || length > len(datagram) {
			return fmt.Errorf("%w: message says %d bytes, %d are left", ErrMalformed, length, len(datagram))
		}
		h := header{
			kind:     binary.NativeEndian.Uint16(datagram[4:]),
			flags:    binary.NativeEndian.Uint16(datagram[6:]),
			sequence: binary.NativeEndian.Uint32(datagram[8:]),
		}
		if err := f(h, datagram[headerLen:length]); err != nil {
			return err
		}
		datagram = datagram[min(align4(length), len(datagram)):]
	}
	return nil
}

// header is the part of struct nlmsghdr that says what a message is.
type header struct {
	kind, flags uint16
	sequence    uint32
}

// is tells whether the message is one of nf_tables, of a kind in enum nf_tables_msg_types.
func (h header) is(kind uint16) bool { return h.kind == subsysNFTables<<8|kind }

// eachAttribute calls f for every attribute after a message's struct nfgenmsg.
func eachAttribute(payload []byte, f func(kind uint16, value []byte) error) error {
	if len(payload) < familyLen {
		return fmt.Errorf("%w: %d bytes where struct nfgenmsg of %d should be", ErrMalformed, len(payload), familyLen)
	}
	return eachNested(payload[familyLen:], f)
}

// eachNested calls f for every attribute (struct nlattr) in b, with the flag bits taken off its type.
func eachNested(b []byte, f func(kind uint16, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < attrHeaderLen {
			return fmt.Errorf("%w: %d bytes where an attribute's header of %d should be", ErrMalformed, len(b), attrHeaderLen)
		}
		length := int(binary.NativeEndian.Uint16(b))
		kind := binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
		if length < attrHeaderLen || length > len(b) {
			return fmt.Errorf("%w: attribute %d says %d bytes, %d are left", ErrMalformed, kind, length, len(b))
		}
		if err := f(kind, b[attrHeaderLen:length]); err != nil {
			return err
		}
		b = b[min(align4(length), len(b)):]
	}
	return nil
}

// align4 rounds up to NLMSG_ALIGNTO and NLA_ALIGNTO, which are equal.
func align4(n int) int { return (n + 3) &^ 3 }

// The readers of one attribute's value; numbers of nf_tables are in network byte order.

func read8(v []byte, to *uint8) error {
	if len(v) != 1 {
		return fmt.Errorf("%w: %d bytes where 1 should be", ErrMalformed, len(v))
	}
	*to = v[0]
	return nil
}

func read32(v []byte, to *uint32) error {
	if len(v) != 4 {
		return fmt.Errorf("%w: %d bytes where 4 should be", ErrMalformed, len(v))
	}
	*to = binary.BigEndian.Uint32(v)
	return nil
}

func read64(v []byte, to *uint64) error {
	if len(v) != 8 {
		return fmt.Errorf("%w: %d bytes where 8 should be", ErrMalformed, len(v))
	}
	*to = binary.BigEndian.Uint64(v)
	return nil
}

// readName reads text that may or may not end in a zero byte.
func readName(v []byte, to *string) error {
	*to, _, _ = strings.Cut(string(v), "\x00")
	return nil
}
