package conntrack

import (
	"net/netip"
	"strings"
	"time"

	timo "github.com/ti-mo/conntrack"
)

// entryOf gives an entry that github.com/ti-mo/conntrack has read. Whether a number was sent, a Flow tells only of the
// protocol's state: the Has… fields of the others stay false.
func entryOf(f timo.Flow) Entry {
	e := Entry{
		ID:              f.ID,
		Original:        tupleOf(f.TupleOrig),
		Reply:           tupleOf(f.TupleReply),
		Status:          Status(f.Status),
		Timeout:         time.Duration(f.Timeout) * time.Second,
		Mark:            f.Mark,
		Use:             f.Use,
		Zone:            f.Zone,
		Helper:          f.Helper.Name,
		SecurityContext: strings.TrimRight(string(f.SecurityContext), "\x00"),
		OriginalCount:   Counter{Packets: f.CountersOrig.Packets, Bytes: f.CountersOrig.Bytes},
		ReplyCount:      Counter{Packets: f.CountersReply.Packets, Bytes: f.CountersReply.Bytes},
		Start:           f.Timestamp.Start,
		Stop:            f.Timestamp.Stop,
	}
	if tcp := f.ProtoInfo.TCP; tcp != nil {
		e.TCP, e.HasTCP = TCPState(tcp.State), true
	}
	return e
}

// dumped is entryOf for the answer to a dump or a look-up, where the kernel leaves nothing out that it has
// (ctnetlink_fill_info): the time left of all but offloaded entries, the status and the mark of all. Counters are taken to
// be there if one of them is not 0, which the first packet makes it.
func dumped(f timo.Flow, seen time.Time) Entry {
	e := entryOf(f)
	e.HasStatus, e.HasMark = true, true
	e.HasTimeout = !e.Status.Has(StatusOffload)
	e.HasCounters = e.OriginalCount != (Counter{}) || e.ReplyCount != (Counter{})
	e.Seen = seen
	return e
}

func tupleOf(t timo.Tuple) Tuple {
	return Tuple{
		Protocol: t.Proto.Protocol,
		Src:      netip.AddrPortFrom(t.IP.SourceAddress, t.Proto.SourcePort),
		Dst:      netip.AddrPortFrom(t.IP.DestinationAddress, t.Proto.DestinationPort),
		ICMP:     ICMP{Type: t.Proto.ICMPType, Code: t.Proto.ICMPCode, ID: t.Proto.ICMPID},
	}
}

// timo is the tuple as github.com/ti-mo/conntrack has it.
func (t Tuple) timo() timo.Tuple {
	return timo.Tuple{
		IP: timo.IPTuple{SourceAddress: t.Src.Addr(), DestinationAddress: t.Dst.Addr()},
		Proto: timo.ProtoTuple{
			Protocol:   t.Protocol,
			SourcePort: t.Src.Port(), DestinationPort: t.Dst.Port(),
			ICMPv4: t.Protocol == ProtocolICMP, ICMPv6: t.Protocol == ProtocolICMPv6,
			ICMPID: t.ICMP.ID, ICMPType: t.ICMP.Type, ICMPCode: t.ICMP.Code,
		},
	}
}

// flow names an entry by one of its tuples. The kernel looks at TupleOrig alone; without the other the library would
// call an IPv6 entry one of IPv4.
func (t Tuple) flow() timo.Flow { return timo.Flow{TupleOrig: t.timo(), TupleReply: t.Invert().timo()} }
