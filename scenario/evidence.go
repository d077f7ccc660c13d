package scenario

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
	"github.com/ctsim/ctsim/probe/socket"
)

// evidence is everything a run has observed, as plain values. Verdict and timeline are functions of it and of nothing
// else, so that they can be tested without a kernel.
type evidence struct {
	started, ended time.Time
	service        netip.AddrPort
	// pods names the server pods by their address, those removed since too.
	pods map[netip.Addr]string
	// nodes and client are the addresses that packets may carry besides those of pods and service.
	clientAt string
	client   netip.Addr
	flows    []flowFacts
	// connections is how many the client tried to open.
	connections int
	events      []nodeEvent
	packets     []packet.Packet
	reports     []probe.Report
	notes       []note
	// ours are the port ids under which ctsim itself has flushed tables, deleted those under which it deleted one entry.
	ours, deleted map[uint32]bool
	finals        []final
	// rules are the counters of every rule at the end, by node.
	rules map[string][]dataplane.Counter
	// before are the counters before the first break, by node; nil if nothing was broken.
	before map[string][]dataplane.Counter
	// saved are the texts that both were read from.
	saved []SavedRules
	// paths are the ways of packets through the rules; kernel what the kernel itself told; looks the sockets after each step.
	paths  []rulepath.Path
	kernel []kernelEvent
	looks  []look
	// hops are where packets were captured.
	hops []packet.Hop
	// unwatched are the sources that the run was told not to watch, or could not.
	unwatched map[Source]bool
	// foreignClient is true if the client is a program that ctsim has not written. output is what such programs wrote,
	// settings what they had set on their sockets, programs how they ended. kept tells why an entry was not aged, keptAt
	// when.
	foreignClient bool
	output        []outputLine
	settings      []settings
	programs      []ran
	kept          string
	keptAt        time.Time
	// unmet names the fact that a repeat or wait ended without; empty if there was none.
	unmet       string
	lost        map[string]int
	missing     []string
	interrupted bool
}

// flowFacts is what identifies a connection: its client's address, from a time on, because a source port may be used
// again.
type flowFacts struct {
	id    int
	local netip.AddrPort
	since time.Time
}

// nodeEvent is a conntrack event and the node whose table it is about.
type nodeEvent struct {
	node string
	conntrack.Event
}

// note is one step that was taken, or a fact that the runner itself established.
type note struct {
	time     time.Time
	at, kind string
	text     string
}

// kernelEvent is what the kernel did in one namespace.
type kernelEvent struct {
	at string
	kernel.Event
}

// look is one end of a connection at one moment.
type look struct {
	time time.Time
	at   string
	flow int
	side probe.Side
	socket.Socket
}

// final is what a socket was in when the run ended.
type final struct {
	flow int
	side probe.Side
	at   string
	probe.SocketState
	// timer is the kind that runs, as netstat names it; empty if it was not asked for.
	timer string
}

// translating is the node whose entries translate the service address: the client's.
const translating = nodeMaster

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
		if f.id == 0 || ev.node != translating || ev.Reply.Dst == ev.Original.Src {
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

func (ix index) event(ev nodeEvent) int {
	return ix.of(ev.Time, ev.Original.Src, ev.Original.Dst, ev.Reply.Src, ev.Reply.Dst)
}

func (ix index) packet(p packet.Packet) int {
	return ix.of(p.Time, p.Src, p.Dst, p.Error.Src, p.Error.Dst)
}

func (ix index) report(r probe.Report) int {
	if r.Connection != 0 {
		return r.Connection
	}
	return ix.of(r.Time, r.Local, r.Remote)
}

// pick is the pod that an entry of the translating node leads to, empty if the entry translates nothing.
func (e *evidence) pick(ev nodeEvent) string {
	if ev.node != translating || ev.Original.Dst != e.service {
		return ""
	}
	return e.pods[ev.Reply.Src.Addr()]
}

// podName is the name of the pod with that address, or the address.
func (e *evidence) podName(a netip.Addr) string {
	if name := e.pods[a]; name != "" {
		return name
	}
	return a.String()
}
