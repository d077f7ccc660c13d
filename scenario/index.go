package scenario

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// index is which connection an address belongs to: the client's own, and the ones that a node has put in its place.
// Several connections that used the same address stand in the order of their beginning.
type index map[ends][]flowFacts

// ends are an address, or if that is not enough to tell connections apart, the addresses of both ends.
type ends struct{ client, peer netip.AddrPort }

func (ix index) add(a netip.AddrPort, f flowFacts) { ix.put(ends{client: a}, f) }

func (ix index) put(e ends, f flowFacts) {
	if !slices.Contains(ix[e], f) {
		ix[e] = append(ix[e], f)
	}
}

// index is complete once the events are: a masqueraded source is known from the reply tuple of the translating node.
func (e *evidence) index() index {
	ix, own := index{}, map[netip.AddrPort]bool{}
	for _, f := range e.flows {
		ix.add(f.local, f)
		own[f.local] = true
	}
	for _, ev := range e.events {
		f := ix.at(ends{client: ev.Original.Src}, ev.Time)
		if f.id == 0 || !e.translates(ev.node) || ev.Reply.Dst == ev.Original.Src {
			continue
		}
		// A client on the node itself has the address that its node masquerades with: by chance one connection is given the
		// port that another one has. Their peers differ, the service and a pod.
		if own[ev.Reply.Dst] {
			ix.put(ends{ev.Reply.Dst, ev.Reply.Src}, f)
		} else {
			ix.add(ev.Reply.Dst, f)
		}
	}
	return ix
}

// at is the connection that had these ends at that time, the zero value if none had.
func (ix index) at(e ends, t time.Time) flowFacts {
	all := ix[e]
	for i := len(all) - 1; i > 0; i-- {
		if !all[i].since.After(t) {
			return all[i]
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return flowFacts{}
}

// of is the connection that addresses belong to, 0 if they do to none. They come two by two, both ends of a packet, and
// the first that is known counts.
func (ix index) of(t time.Time, all ...netip.AddrPort) int {
	for i := 0; i+1 < len(all); i += 2 {
		for _, e := range []ends{{all[i], all[i+1]}, {all[i+1], all[i]}} {
			if f := ix.at(e, t); f.id != 0 {
				return f.id
			}
		}
	}
	for _, a := range all {
		if f := ix.at(ends{client: a}, t); f.id != 0 {
			return f.id
		}
	}
	return 0
}

func (ix index) event(ev *entryEvent) int {
	return ix.of(ev.Time, ev.Original.Src, ev.Original.Dst, ev.Reply.Src, ev.Reply.Dst)
}

func (ix index) packet(p *packet.Packet) int {
	return ix.of(p.Time, p.Src, p.Dst, p.Error.Src, p.Error.Dst)
}

func (ix index) report(r *probe.Report) int {
	if r.Connection != 0 {
		return r.Connection
	}
	return ix.of(r.Time, r.Local, r.Remote)
}

func (ix index) path(p *rulepath.Path, at time.Time) int {
	return ix.of(at, p.Packet.Src, p.Packet.Dst)
}

func (ix index) kernel(ev *kernelEvent) int { return ix.of(ev.Time, ev.Src, ev.Dst) }
