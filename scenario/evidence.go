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
	"github.com/ctsim/ctsim/probe/program"
	"github.com/ctsim/ctsim/probe/rulepath"
	"github.com/ctsim/ctsim/probe/socket"
)

// evidence is everything that was observed, as plain values, with the world that it is about. Accounts, verdict and
// timeline are functions of it and of nothing else, so that they can be tested without a kernel, and made of facts that
// no run has gathered.
type evidence struct {
	world
	machine
	started, ended time.Time
	flows          []flowFacts
	// connections is how many the client tried to open.
	connections int
	events      []entryEvent
	packets     []packet.Packet
	reports     []probe.Report
	deeds       []deed
	// ours are the port ids under which ctsim itself has flushed tables, deleted those under which it deleted one entry.
	ours, deleted map[uint32]bool
	// samples are the sockets after each step, last what they were in at the end.
	samples []socketSample
	last    []lastState
	// rules are the counters of every rule at the end, by node.
	rules map[string][]dataplane.Counter
	// before are the counters before the first break, by node; nil if nothing was broken.
	before map[string][]dataplane.Counter
	// saved are the texts that both were read from.
	saved []SavedRules
	// paths are the ways of packets through the rules; kernel what the kernel itself told.
	paths  []rulepath.Path
	kernel []kernelEvent
	// hops are where packets were captured.
	hops []packet.Hop
	// unwatched are the sources that were not to be watched, or could not be.
	unwatched map[Source]bool
	// output is what external programs wrote, settings what they had set on their sockets, programs how they ended.
	output   []outputLine
	settings []settings
	programs []ran
	// kept tells why an entry was not aged, keptAt when.
	kept   string
	keptAt time.Time
	// unmet names the fact that a repeat or wait ended without; empty if there was none.
	unmet       string
	lost        map[string]int
	missing     []string
	interrupted bool
}

// keeping is the deed that notes why an entry was not aged; nil if there is none.
func (e *evidence) keeping() any {
	for i := range e.deeds {
		if e.deeds[i].text == e.kept {
			return &e.deeds[i]
		}
	}
	return nil
}

// machine is where and how the facts were observed.
type machine struct {
	// release is the kernel's, `uname -r`.
	release string
	// rootless is true if it was in a user namespace.
	rootless bool
	// phases are the parts of the run and how long each took.
	phases []Phase
}

// Phase is a part of a run and how long it took, in seconds.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// world is what the evidence is about. Whoever fills the evidence knows it and says it.
type world struct {
	// service is what the client connects to: the virtual address, or a node port.
	service netip.AddrPort
	// pods names the server pods by their address, those removed since too.
	pods map[netip.Addr]string
	// nodes are all nodes in the order of their reports; translating are those of them whose entries translate the
	// service's address: where its clients are.
	nodes, translating []string
	// clientAt is the pod, node or machine that the client runs in, client its address there.
	clientAt string
	client   netip.Addr
	// external is true if the client is a program that ctsim has not written.
	external bool
	// places are the pods, nodes and machines, the client's side first, and then what joined them later.
	places []Place
}

// translates tells whether a node's entries translate the service's address.
func (w world) translates(node string) bool { return slices.Contains(w.translating, node) }

// forwards tells whether what leaves a place may have come from another: a node passes packets on. What leaves a pod
// begins there, and so does what leaves the node that the client runs on.
func (w world) forwards(place string) bool {
	return place != w.clientAt && slices.Contains(w.nodes, place)
}

// podNames are the server pods, in the order of their addresses.
func (w world) podNames() []string {
	addresses := make([]netip.Addr, 0, len(w.pods))
	for a := range w.pods {
		addresses = append(addresses, a)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	names := make([]string, len(addresses))
	for i, a := range addresses {
		names[i] = w.pods[a]
	}
	return names
}

// isPod tells whether a place is a server pod.
func (w world) isPod(place string) bool {
	for _, name := range w.pods {
		if name == place {
			return true
		}
	}
	return false
}

// podName is the name of the pod with that address, or the address.
func (w world) podName(a netip.Addr) string {
	if name := w.pods[a]; name != "" {
		return name
	}
	return a.String()
}

// pick is the pod that an entry of a translating node leads to, empty if the entry translates nothing.
func (w world) pick(ev *entryEvent) string {
	if !w.translates(ev.node) || ev.Original.Dst != w.service {
		return ""
	}
	return w.pods[ev.Reply.Src.Addr()]
}

// SavedRules is what `iptables-save -c` printed on a node: before the first break, empty if there was none, and at the end.
type SavedRules struct{ Node, Before, After string }

// flowFacts is what identifies a connection: its client's address, from a time on, because a source port may be used
// again.
type flowFacts struct {
	id    int
	local netip.AddrPort
	since time.Time
}

// entryEvent is a conntrack event and the node whose table it is about.
type entryEvent struct {
	node string
	conntrack.Event
}

// deed is one step that was taken, or something else that was done, or found out, by whoever ran it.
type deed struct {
	time     time.Time
	at, kind string
	text     string
}

// kernelEvent is what the kernel did in one namespace.
type kernelEvent struct {
	at string
	kernel.Event
}

// socketSample is one end of a connection at one moment.
type socketSample struct {
	time time.Time
	at   string
	flow int
	side probe.Side
	socket.Socket
}

// lastState is what a socket was in at the end.
type lastState struct {
	flow int
	side probe.Side
	at   string
	probe.SocketState
	// timer is the kind that runs, as netstat names it; empty if it was not asked for.
	timer string
}

// outputLine is a line that an external program has written.
type outputLine struct {
	side probe.Side
	at   string
	program.Line
}

// settings are what an external program had set on its end of a connection before the first break.
type settings struct {
	flow int
	side probe.Side
	at   string
	program.Settings
}

// ran is an external program and how it ended.
type ran struct {
	side        probe.Side
	at, command string
	exit        program.Exit
}
