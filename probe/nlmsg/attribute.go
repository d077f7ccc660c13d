package nlmsg

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// What stands in struct nlattr.
const (
	AttributeLen = 4      // its size
	FlagNested   = 0x8000 // NLA_F_NESTED, in its type
	typeMask     = 0x3fff // NLA_TYPE_MASK: the type without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

// Attribute is one attribute of a message, or of another attribute.
type Attribute struct {
	// Type is without its flag bits.
	Type uint16
	// Nested says that Value is a row of attributes, as far as the sender says so (NLA_F_NESTED).
	Nested bool
	// Value is part of the bytes that were read.
	Value []byte
}

// EachAttribute calls f for every attribute in a row of them, and ends at the first error. An error of its own matches
// [ErrMalformed].
func EachAttribute(b []byte, f func(a Attribute) error) error {
	for offset := 0; offset < len(b); {
		left := len(b) - offset
		if left < AttributeLen {
			return fmt.Errorf("%w: %d bytes where an attribute's header of %d should be", ErrMalformed, left, AttributeLen)
		}
		length := int(binary.NativeEndian.Uint16(b[offset:]))
		kind := binary.NativeEndian.Uint16(b[offset+2:])
		if length < AttributeLen || length > left {
			return fmt.Errorf("%w: attribute %d says %d bytes, %d are left", ErrMalformed, kind&typeMask, length, left)
		}
		a := Attribute{Type: kind & typeMask, Nested: kind&FlagNested != 0, Value: b[offset+AttributeLen : offset+length]}
		if err := f(a); err != nil {
			return err
		}
		offset += Align(length)
	}
	return nil
}

// EachNetfilter is EachAttribute for the payload of a netfilter message, whose attributes follow struct nfgenmsg.
func EachNetfilter(payload []byte, f func(a Attribute) error) error {
	if len(payload) < NetfilterLen {
		return fmt.Errorf("%w: %d bytes where struct nfgenmsg of %d should be", ErrMalformed, len(payload), NetfilterLen)
	}
	return EachAttribute(payload[NetfilterLen:], f)
}

// Sized fails, matching [ErrMalformed], unless the value has exactly n bytes.
func (a Attribute) Sized(n int) error {
	if len(a.Value) != n {
		return fmt.Errorf("%w: attribute %d has %d bytes, not %d", ErrMalformed, a.Type, len(a.Value), n)
	}
	return nil
}

// Uint8 reads the value into to; it fails like Sized.
func (a Attribute) Uint8(to *uint8) error {
	if err := a.Sized(1); err != nil {
		return err
	}
	*to = a.Value[0]
	return nil
}

// Uint16 reads a number in network byte order, as netfilter's are; it fails like Sized.
func (a Attribute) Uint16(to *uint16) error {
	if err := a.Sized(2); err != nil {
		return err
	}
	*to = binary.BigEndian.Uint16(a.Value)
	return nil
}

// Uint32 is as Uint16.
func (a Attribute) Uint32(to *uint32) error {
	if err := a.Sized(4); err != nil {
		return err
	}
	*to = binary.BigEndian.Uint32(a.Value)
	return nil
}

// Uint64 is as Uint16.
func (a Attribute) Uint64(to *uint64) error {
	if err := a.Sized(8); err != nil {
		return err
	}
	*to = binary.BigEndian.Uint64(a.Value)
	return nil
}

// Text is the value without the zero bytes at its end, which may or may not be there.
func (a Attribute) Text() string { return strings.TrimRight(string(a.Value), "\x00") }
