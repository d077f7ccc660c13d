package evidence

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// Index is which connection an address belongs to: the client's own, and the ones that a node has put in its place.
// Several connections that used the same address stand in the order of their beginning.
type Index map[ends][]FlowFacts

// ends are an address, or if that is not enough to tell connections apart, the addresses of both ends.
type ends struct{ client, peer netip.AddrPort }

// Add notes that an address is a connection's, from its beginning on.
func (ix Index) Add(a netip.AddrPort, f FlowFacts) { ix.put(ends{client: a}, f) }

func (ix Index) put(e ends, f FlowFacts) {
	if !slices.Contains(ix[e], f) {
		ix[e] = append(ix[e], f)
	}
}

// Index is complete once the events are: a masqueraded source is known from the reply tuple of the translating node.
func (e *Evidence) Index() Index {
	ix, own := Index{}, map[netip.AddrPort]bool{}
	for _, f := range e.Flows {
		ix.Add(f.Local, f)
		own[f.Local] = true
	}
	for _, ev := range e.Events {
		f := ix.at(ends{client: ev.Original.Src}, ev.Time)
		if f.ID == 0 || !e.Translates(ev.Node) || ev.Reply.Dst == ev.Original.Src {
			continue
		}
		// A client on the node itself has the address that its node masquerades with: by chance one connection is given the
		// port that another one has. Their peers differ, the service and a pod.
		if own[ev.Reply.Dst] {
			ix.put(ends{ev.Reply.Dst, ev.Reply.Src}, f)
		} else {
			ix.Add(ev.Reply.Dst, f)
		}
	}
	return ix
}

// at is the connection that had these ends at that time, the zero value if none had.
func (ix Index) at(e ends, t time.Time) FlowFacts {
	all := ix[e]
	for i := len(all) - 1; i > 0; i-- {
		if !all[i].Since.After(t) {
			return all[i]
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return FlowFacts{}
}

// Of is the connection that addresses belong to, 0 if they do to none. They come two by two, both ends of a packet, and
// the first that is known counts.
func (ix Index) Of(t time.Time, all ...netip.AddrPort) int {
	for i := 0; i+1 < len(all); i += 2 {
		for _, e := range []ends{{all[i], all[i+1]}, {all[i+1], all[i]}} {
			if f := ix.at(e, t); f.ID != 0 {
				return f.ID
			}
		}
	}
	for _, a := range all {
		if f := ix.at(ends{client: a}, t); f.ID != 0 {
			return f.ID
		}
	}
	return 0
}

// Event is the connection that a conntrack event is about, 0 if none is known.
func (ix Index) Event(ev *EntryEvent) int {
	return ix.Of(ev.Time, ev.Original.Src, ev.Original.Dst, ev.Reply.Src, ev.Reply.Dst)
}

// Packet is the connection that a packet belongs to, or an ICMP error complains about; 0 if none is known.
func (ix Index) Packet(p *packet.Packet) int {
	return ix.Of(p.Time, p.Src, p.Dst, p.Error.Src, p.Error.Dst)
}

// Report is the connection that a call was made on, 0 if none is known: a server learns it from the first message.
func (ix Index) Report(r *peer.Report) int {
	if r.Connection != 0 {
		return r.Connection
	}
	return ix.Of(r.Time, r.Local, r.Remote)
}

// Path is the connection whose packet met the rules, 0 if none is known.
func (ix Index) Path(p *rulepath.Path, at time.Time) int {
	return ix.Of(at, p.Packet.Src, p.Packet.Dst)
}

// Kernel is the connection that an event of the kernel is about, 0 if none is known.
func (ix Index) Kernel(ev *KernelEvent) int { return ix.Of(ev.Time, ev.Src, ev.Dst) }
