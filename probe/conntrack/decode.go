package conntrack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// Decode gives the events in one datagram of a ctnetlink event socket, which may hold several netlink messages. Messages
// that are not about the conntrack table and attributes that are not known are skipped. An error matches ErrMalformed
// and comes with the events before it. Event.Time stays zero unless the kernel sent a time.
func Decode(datagram []byte) ([]Event, error) {
	var events []Event
	err := eachMessage(datagram, func(h header, payload []byte) error {
		e := Event{PortID: h.portID}
		switch h.kind {
		case subsysCtnetlink<<8 | msgNew:
			e.Type = Update
			if h.flags&(flagCreate|flagExcl) != 0 {
				e.Type = New
			}
		case subsysCtnetlink<<8 | msgDelete:
			e.Type = Destroy
		default:
			return nil
		}
		if err := e.decode(payload); err != nil {
			return fmt.Errorf("%s event: %w", e.Type, err)
		}
		events = append(events, e)
		return nil
	})
	return events, err
}

// DecodeEntries gives the entries in one datagram of a dump or a look-up (IPCTNL_MSG_CT_GET). Other messages, such as
// the NLMSG_DONE at the end of a dump, are skipped. An error matches ErrMalformed and comes with the entries before it.
func DecodeEntries(datagram []byte) ([]Entry, error) {
	var entries []Entry
	err := eachMessage(datagram, func(h header, payload []byte) error {
		if h.kind != subsysCtnetlink<<8|msgNew {
			return nil
		}
		e, err := decodeEntry(payload)
		if err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// header is what matters here of struct nlmsghdr.
type header struct {
	kind, flags uint16
	portID      uint32
}

func eachMessage(b []byte, f func(h header, payload []byte) error) error {
	for offset := 0; offset < len(b); {
		left := len(b) - offset
		if left < nlmsgHeaderLen {
			return fmt.Errorf("%w: %d bytes where a message's header of %d should be", ErrMalformed, left, nlmsgHeaderLen)
		}
		length := binary.NativeEndian.Uint32(b[offset:])
		if length < nlmsgHeaderLen || uint64(length) > uint64(left) {
			return fmt.Errorf("%w: message at byte %d says %d bytes, %d are left", ErrMalformed, offset, length, left)
		}
		h := header{
			kind:   binary.NativeEndian.Uint16(b[offset+4:]),
			flags:  binary.NativeEndian.Uint16(b[offset+6:]),
			portID: binary.NativeEndian.Uint32(b[offset+12:]),
		}
		if err := f(h, b[offset+nlmsgHeaderLen:offset+int(length)]); err != nil {
			return fmt.Errorf("message at byte %d: %w", offset, err)
		}
		offset += align4(int(length))
	}
	return nil
}

// decodeEntry decodes one message after its nlmsghdr.
func decodeEntry(payload []byte) (Entry, error) {
	var e Event
	err := e.decode(payload)
	return e.Entry, err
}

func (e *Event) decode(payload []byte) error {
	if len(payload) < nfgenHeaderLen {
		return fmt.Errorf("%w: %d bytes where struct nfgenmsg of %d should be", ErrMalformed, len(payload), nfgenHeaderLen)
	}
	return eachAttribute(payload[nfgenHeaderLen:], func(kind uint16, v []byte) error {
		if kind == ctaTimestampEvent {
			e.KernelTime = true
			return readTime("CTA_TIMESTAMP_EVENT", v, &e.Time)
		}
		return e.Entry.decode(kind, v)
	})
}

// decode takes in one attribute of enum ctattr_type.
func (e *Entry) decode(kind uint16, v []byte) error {
	switch kind {
	case ctaTupleOrig:
		return e.Original.decode("CTA_TUPLE_ORIG", v)
	case ctaTupleReply:
		return e.Reply.decode("CTA_TUPLE_REPLY", v)
	case ctaStatus:
		e.HasStatus = true
		return read32("CTA_STATUS", v, (*uint32)(&e.Status))
	case ctaProtoInfo:
		return e.decodeProtoInfo(v)
	case ctaTimeout:
		var seconds uint32
		err := read32("CTA_TIMEOUT", v, &seconds)
		e.Timeout, e.HasTimeout = time.Duration(seconds)*time.Second, true
		return err
	case ctaMark:
		e.HasMark = true
		return read32("CTA_MARK", v, &e.Mark)
	case ctaCountersOrig:
		e.HasCounters = true
		return e.OriginalCount.decode("CTA_COUNTERS_ORIG", v)
	case ctaCountersReply:
		e.HasCounters = true
		return e.ReplyCount.decode("CTA_COUNTERS_REPLY", v)
	case ctaID:
		return read32("CTA_ID", v, &e.ID)
	case ctaTimestamp:
		return e.decodeTimestamp(v)
	}
	return e.decodeRare(kind, v)
}

// decodeRare takes in the attributes that most entries lack, and skips the unknown ones.
func (e *Entry) decodeRare(kind uint16, v []byte) error {
	switch kind {
	case ctaUse:
		return read32("CTA_USE", v, &e.Use)
	case ctaZone:
		return read16("CTA_ZONE", v, &e.Zone)
	case ctaHelp:
		return within("CTA_HELP", v, func(kind uint16, v []byte) error {
			if kind != ctaHelpName {
				return nil
			}
			return readString(v, &e.Helper)
		})
	case ctaSecCtx:
		return within("CTA_SECCTX", v, func(kind uint16, v []byte) error {
			if kind != ctaSecCtxName {
				return nil
			}
			return readString(v, &e.SecurityContext)
		})
	}
	return nil
}

func (e *Entry) decodeProtoInfo(v []byte) error {
	return within("CTA_PROTOINFO", v, func(kind uint16, v []byte) error {
		if kind != ctaProtoInfoTCP {
			return nil
		}
		return within("CTA_PROTOINFO_TCP", v, func(kind uint16, v []byte) error {
			if kind != ctaProtoInfoTCPState {
				return nil
			}
			e.HasTCP = true
			return read8("CTA_PROTOINFO_TCP_STATE", v, (*uint8)(&e.TCP))
		})
	})
}

func (e *Entry) decodeTimestamp(v []byte) error {
	return within("CTA_TIMESTAMP", v, func(kind uint16, v []byte) error {
		switch kind {
		case ctaTimestampStart:
			return readTime("CTA_TIMESTAMP_START", v, &e.Start)
		case ctaTimestampStop:
			return readTime("CTA_TIMESTAMP_STOP", v, &e.Stop)
		}
		return nil
	})
}

func (c *Counter) decode(name string, v []byte) error {
	return within(name, v, func(kind uint16, v []byte) error {
		switch kind {
		case ctaCountersPackets:
			return read64("CTA_COUNTERS_PACKETS", v, &c.Packets)
		case ctaCountersBytes:
			return read64("CTA_COUNTERS_BYTES", v, &c.Bytes)
		}
		return nil
	})
}

func (t *Tuple) decode(name string, v []byte) error {
	var src, dst netip.Addr
	var sport, dport uint16
	err := within(name, v, func(kind uint16, v []byte) error {
		switch kind {
		case ctaTupleIP:
			return decodeAddrs(v, &src, &dst)
		case ctaTupleProto:
			return t.decodeProto(v, &sport, &dport)
		}
		return nil
	})
	t.Src, t.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return err
}

func decodeAddrs(v []byte, src, dst *netip.Addr) error {
	return within("CTA_TUPLE_IP", v, func(kind uint16, v []byte) error {
		switch kind {
		case ctaIPv4Src:
			return readAddr("CTA_IP_V4_SRC", v, 4, src)
		case ctaIPv4Dst:
			return readAddr("CTA_IP_V4_DST", v, 4, dst)
		case ctaIPv6Src:
			return readAddr("CTA_IP_V6_SRC", v, 16, src)
		case ctaIPv6Dst:
			return readAddr("CTA_IP_V6_DST", v, 16, dst)
		}
		return nil
	})
}

func (t *Tuple) decodeProto(v []byte, sport, dport *uint16) error {
	return within("CTA_TUPLE_PROTO", v, func(kind uint16, v []byte) error {
		switch kind {
		case ctaProtoNum:
			return read8("CTA_PROTO_NUM", v, &t.Protocol)
		case ctaProtoSrcPort:
			return read16("CTA_PROTO_SRC_PORT", v, sport)
		case ctaProtoDstPort:
			return read16("CTA_PROTO_DST_PORT", v, dport)
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			return read16("CTA_PROTO_ICMP_ID", v, &t.ICMP.ID)
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			return read8("CTA_PROTO_ICMP_TYPE", v, &t.ICMP.Type)
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			return read8("CTA_PROTO_ICMP_CODE", v, &t.ICMP.Code)
		}
		return nil
	})
}

// within walks the attributes nested in the one called name.
func within(name string, v []byte, f func(kind uint16, value []byte) error) error {
	if err := eachAttribute(v, f); err != nil {
		return fmt.Errorf("in %s: %w", name, err)
	}
	return nil
}
