package conntrack

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// ErrUnknownAttribute is in the chain when a nested attribute of an event has a type that is not known here: a newer
// kernel, whose entry cannot be told in full. The error names the type.
var ErrUnknownAttribute = errors.New("unknown attribute")

// Decode gives the events in one datagram of a ctnetlink event socket, which may hold several netlink messages. Messages
// that are not about the conntrack table and attributes of a message that are not known are skipped. An error matches
// nlmsg.ErrMalformed or [ErrUnknownAttribute] and comes with the events before it. Event.Time stays zero unless the kernel
// sent a time.
//
// It reads as (*Event).Unmarshal of github.com/ti-mo/conntrack does, which a test holds for every recorded message and a
// fuzz test for others, and takes no memory but for the events: with that library's 42 allocations a message a listener
// cannot keep pace with a flush. It tells what was sent besides, in the Has… fields.
func Decode(datagram []byte) ([]Event, error) {
	var events []Event
	err := nlmsg.Each(datagram, func(h nlmsg.Header, payload []byte) error {
		e := Event{PortID: h.PortID}
		switch h.Type {
		case subsysCtnetlink<<8 | msgNew:
			e.Type = Update
			if h.Flags&(flagCreate|flagExcl) != 0 {
				e.Type = New
			}
		case subsysCtnetlink<<8 | msgDelete:
			e.Type = Destroy
		default:
			return nil
		}
		if err := nlmsg.EachNetfilter(payload, e.decode); err != nil {
			return fmt.Errorf("%s event: %w", e.Type, err)
		}
		events = append(events, e)
		return nil
	})
	return events, err
}

func (e *Event) decode(a nlmsg.Attribute) error {
	if a.Type == ctaTimestampEvent {
		e.KernelTime = true
		return readTime(a, &e.Time)
	}
	return e.Entry.decode(a)
}

// decode takes in one attribute of enum ctattr_type.
func (e *Entry) decode(a nlmsg.Attribute) error {
	switch a.Type {
	case ctaStatus:
		e.HasStatus = true
		return a.Uint32((*uint32)(&e.Status))
	case ctaTimeout:
		var seconds uint32
		err := a.Uint32(&seconds)
		e.Timeout, e.HasTimeout = time.Duration(seconds)*time.Second, true
		return err
	case ctaMark:
		e.HasMark = true
		return a.Uint32(&e.Mark)
	case ctaID:
		return a.Uint32(&e.ID)
	case ctaUse:
		return a.Uint32(&e.Use)
	case ctaZone:
		return a.Uint16(&e.Zone)
	}
	return e.decodeNested(a)
}

// decodeNested takes in the attributes that hold others, and skips the unknown ones.
func (e *Entry) decodeNested(a nlmsg.Attribute) error {
	switch a.Type {
	case ctaTupleOrig:
		return e.Original.decode("CTA_TUPLE_ORIG", a)
	case ctaTupleReply:
		return e.Reply.decode("CTA_TUPLE_REPLY", a)
	case ctaProtoInfo:
		return e.decodeProtoInfo(a)
	case ctaCountersOrig:
		e.HasCounters = true
		return e.OriginalCount.decode("CTA_COUNTERS_ORIG", a)
	case ctaCountersReply:
		e.HasCounters = true
		return e.ReplyCount.decode("CTA_COUNTERS_REPLY", a)
	case ctaTimestamp:
		return e.decodeTimestamp(a)
	case ctaHelp:
		return e.decodeHelp(a)
	case ctaSecCtx:
		return e.decodeSecurityContext(a)
	}
	return nil
}

func (t *Tuple) decode(name string, a nlmsg.Attribute) error {
	return within(name, a, 2, math.MaxInt, func(a nlmsg.Attribute) error {
		switch a.Type {
		case ctaTupleIP:
			src, dst, err := decodeAddrs(a)
			t.Src, t.Dst = netip.AddrPortFrom(src, t.Src.Port()), netip.AddrPortFrom(dst, t.Dst.Port())
			return err
		case ctaTupleProto:
			return t.decodeProto(a)
		case ctaTupleZone: // of this direction alone, CTA_ZONE is that of both
			return a.Sized(2)
		}
		return unknown(a)
	})
}

func decodeAddrs(a nlmsg.Attribute) (src, dst netip.Addr, err error) {
	err = within("CTA_TUPLE_IP", a, 2, 2, func(a nlmsg.Attribute) error {
		addr, ok := netip.AddrFromSlice(a.Value)
		if !ok {
			return fmt.Errorf("%w: address of %d bytes", nlmsg.ErrMalformed, len(a.Value))
		}
		switch a.Type {
		case ctaIPv4Src, ctaIPv6Src:
			src = addr
		case ctaIPv4Dst, ctaIPv6Dst:
			dst = addr
		default:
			return unknown(a)
		}
		return nil
	})
	return src, dst, err
}

func (t *Tuple) decodeProto(a nlmsg.Attribute) error {
	var sport, dport uint16
	t.Protocol, t.ICMP = 0, ICMP{}
	err := within("CTA_TUPLE_PROTO", a, 1, math.MaxInt, func(a nlmsg.Attribute) error {
		switch a.Type {
		case ctaProtoNum:
			return a.Uint8(&t.Protocol)
		case ctaProtoSrcPort:
			return a.Uint16(&sport)
		case ctaProtoDstPort:
			return a.Uint16(&dport)
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			return a.Uint16(&t.ICMP.ID)
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			return a.Uint8(&t.ICMP.Type)
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			return a.Uint8(&t.ICMP.Code)
		}
		return unknown(a)
	})
	t.Src, t.Dst = netip.AddrPortFrom(t.Src.Addr(), sport), netip.AddrPortFrom(t.Dst.Addr(), dport)
	return err
}

// decodeProtoInfo reads the state of TCP. Of DCCP and SCTP nothing is told.
func (e *Entry) decodeProtoInfo(a nlmsg.Attribute) error {
	return within("CTA_PROTOINFO", a, 1, 1, func(a nlmsg.Attribute) error {
		if a.Type != ctaProtoInfoTCP {
			return nil
		}
		e.HasTCP = true
		return within("CTA_PROTOINFO_TCP", a, 1, math.MaxInt, func(a nlmsg.Attribute) error {
			switch a.Type {
			case ctaProtoInfoTCPState:
				return a.Uint8((*uint8)(&e.TCP))
			case ctaProtoInfoTCPWScaleOriginal, ctaProtoInfoTCPWScaleReply:
				return a.Sized(1)
			case ctaProtoInfoTCPFlagsOriginal, ctaProtoInfoTCPFlagsReply:
				return a.Sized(2)
			}
			return unknown(a)
		})
	})
}

func (c *Counter) decode(name string, a nlmsg.Attribute) error {
	return within(name, a, 2, math.MaxInt, func(a nlmsg.Attribute) error {
		switch a.Type {
		case ctaCountersPackets:
			return a.Uint64(&c.Packets)
		case ctaCountersBytes:
			return a.Uint64(&c.Bytes)
		case ctaCountersPad:
			return nil
		}
		return unknown(a)
	})
}

func (e *Entry) decodeTimestamp(a nlmsg.Attribute) error {
	return within("CTA_TIMESTAMP", a, 1, math.MaxInt, func(a nlmsg.Attribute) error {
		switch a.Type {
		case ctaTimestampStart:
			return readTime(a, &e.Start)
		case ctaTimestampStop:
			return readTime(a, &e.Stop)
		}
		return unknown(a)
	})
}

func (e *Entry) decodeHelp(a nlmsg.Attribute) error {
	return within("CTA_HELP", a, 0, math.MaxInt, func(a nlmsg.Attribute) error {
		switch a.Type {
		case ctaHelpName:
			e.Helper = a.Text()
		case ctaHelpInfo: // the helper's own
		default:
			return unknown(a)
		}
		return nil
	})
}

func (e *Entry) decodeSecurityContext(a nlmsg.Attribute) error {
	return within("CTA_SECCTX", a, 1, math.MaxInt, func(a nlmsg.Attribute) error {
		if a.Type != ctaSecCtxName {
			return unknown(a)
		}
		e.SecurityContext = a.Text()
		return nil
	})
}

// within walks the attributes nested in the one called name. There must be from least to most of them.
func within(name string, a nlmsg.Attribute, least, most int, f func(nlmsg.Attribute) error) error {
	n := 0
	err := nlmsg.EachAttribute(a.Value, func(inner nlmsg.Attribute) error {
		n++
		return f(inner)
	})
	switch {
	case err != nil:
	case !a.Nested:
		err = fmt.Errorf("%w: NLA_F_NESTED is not set", nlmsg.ErrMalformed)
	case n < least || n > most:
		err = fmt.Errorf("%w: %d attributes", nlmsg.ErrMalformed, n)
	default:
		return nil
	}
	return fmt.Errorf("in %s: %w", name, err)
}

// unknown is the error for an attribute whose type is not known in its place.
func unknown(a nlmsg.Attribute) error { return fmt.Errorf("%w: type %d", ErrUnknownAttribute, a.Type) }

// readTime reads nanoseconds since 1970.
func readTime(a nlmsg.Attribute, to *time.Time) error {
	var ns uint64
	if err := a.Uint64(&ns); err != nil {
		return err
	}
	*to = time.Unix(0, int64(ns))
	return nil
}
