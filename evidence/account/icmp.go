package account

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// Codes of ICMP type 3 (linux/icmp.h: ICMP_NET_UNREACH, ICMP_PORT_UNREACH, ICMP_FRAG_NEEDED).
const (
	destinationUnreachable = 3
	netUnreachable         = 0
	portUnreachable        = 3
	fragmentationNeeded    = 4
)

// icmp tells of the ICMP errors that reached the client or a server's pod, of each kind the first, and what its kernel makes
// of it.
func (t *teller) icmp() {
	type kind struct {
		at         string
		code, kind uint8
		dst        netip.AddrPort
	}
	said := map[kind]bool{}
	for _, p := range t.a.Packets {
		k := kind{p.At, p.Error.Code, p.Error.Type, p.Error.Dst}
		if p.Protocol != packet.ICMP || p.Error.Protocol == 0 || p.Direction != packet.In || said[k] || p.At != t.e.ClientAt && !t.e.IsPod(p.At) {
			continue
		}
		said[k] = true
		effect, known := t.effect(p)
		from, seen := t.tells(p)
		t.say(p.Time, append(on(append(known, p)...), on(seen)...), "%s tells %s by ICMP: %s%s", from, p.At, p.Error, effect)
	}
}

// tells is the place from which an ICMP error comes, and the packet by which that is known where it is not the address: a
// node translates that of an error too.
func (t *teller) tells(p *packet.Packet) (place string, known any) {
	for _, q := range t.a.Packets {
		if q.Time.After(p.Time) {
			break
		}
		if q != p && q.Protocol == packet.ICMP && q.Error.Type == p.Error.Type && q.Error.Code == p.Error.Code && q.Direction == packet.Out {
			return q.At, q
		}
	}
	return t.placeOf(p.Src.Addr()), nil
}

// placeOf is who has an address, or the address.
func (t *teller) placeOf(a netip.Addr) string {
	for _, p := range t.e.Places {
		if p.Address == a.String() {
			return p.Name
		}
	}
	for _, p := range t.e.Places { // a node has an address in its pods' network too
		pod, err := netip.ParseAddr(p.Address)
		if near, _ := a.Prefix(24); err == nil && p.Node != "" && near.Contains(pod) {
			return p.Node
		}
	}
	return a.String()
}

// effect is what the kernel makes of an ICMP error (tcp_v4_err, __udp4_lib_err): for an established TCP socket it is a soft
// error, a connect ends with it, UDP is told of nothing but an unreachable port.
func (t *teller) effect(p *packet.Packet) (words string, known []any) {
	switch {
	case p.Error.Type != destinationUnreachable:
		return "", nil
	case p.Error.Code == fragmentationNeeded:
		return ", and the kernel sends smaller packets", nil
	case p.Error.Protocol == packet.UDP && p.Error.Code != portUnreachable:
		return "; UDP does not tell its program of that", nil
	}
	if r := t.ended(p); r != nil {
		return fmt.Sprintf("; the %s gets %s", r.Call, peer.Errno(r.Err)), on(r)
	}
	open := t.open(p)
	if p.Error.Protocol != packet.TCP || open == nil {
		return "", nil
	}
	return "; for an established connection that is a soft error: the socket stays open and goes on trying, and its program is told only when " +
		"the retransmissions are over", on(open)
}

// connectErrno is the error with which an ICMP error ends a connect (icmp_err_convert in net/ipv4/icmp.c); empty if it does
// not end one.
func connectErrno(p *packet.Packet) string {
	switch {
	case p.Error.Protocol != packet.TCP || p.Error.Type != destinationUnreachable || p.Error.Code == fragmentationNeeded:
		return ""
	case p.Error.Code == portUnreachable:
		return "ECONNREFUSED"
	case p.Error.Code == netUnreachable:
		return "ENETUNREACH"
	}
	return "EHOSTUNREACH"
}

// ended is the call that an ICMP error has ended; nil if it has ended none.
func (t *teller) ended(p *packet.Packet) *peer.Report {
	for _, r := range t.a.reports {
		began := r.Time
		if !r.Began.IsZero() {
			began = r.Began
		}
		waits := r.Call == peer.Connect && began.Before(p.Time) && r.Time.Sub(p.Time) < 100*time.Millisecond
		next := p.Error.Protocol == packet.UDP
		if r.At == p.At && r.Err != nil && r.Time.After(p.Time) && (waits || next) {
			return r
		}
	}
	return nil
}

// open is the fact that a TCP connection was established at a place when a packet came; nil if it was not.
func (t *teller) open(p *packet.Packet) any {
	for _, r := range t.a.reports {
		if r.At == p.At && r.Err == nil && (r.Call == peer.Connect || r.Call == peer.Accept) && r.Time.Before(p.Time) {
			return r
		}
	}
	for _, q := range t.a.Packets { // of programs that do not report what they do
		if q.At == p.At && p.At == t.e.ClientAt && q.Direction == packet.In && q.Flags.Has(packet.SYN|packet.ACK) && q.Time.Before(p.Time) {
			return q
		}
	}
	return nil
}

// kernelDropped are the kernel's own words on packets thrown away at a place after a time; nil if there are none.
func (t *teller) kernelDropped(at string, dst netip.AddrPort, after time.Time) (first *evidence.KernelEvent) {
	for i := range t.e.Kernel {
		ev := &t.e.Kernel[i]
		if ev.At == at && ev.Dst == dst && ev.Packet && ev.Kind.String() == "skb:kfree_skb" && ev.Time.After(after) {
			return ev
		}
	}
	return nil
}
