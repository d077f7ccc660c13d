package evidence

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/program"
	"github.com/ctsim/ctsim/probe/rulepath"
	"github.com/ctsim/ctsim/probe/socket"
)

// Evidence is everything that was observed, as plain values, with the world that it is about. Accounts, verdict and
// timeline are functions of it and of nothing else, so that they can be tested without a kernel, and made of facts that
// no run has gathered.
type Evidence struct {
	World
	Machine
	Started, Ended time.Time
	Flows          []FlowFacts
	// Connections is how many the client tried to open.
	Connections int
	Events      []EntryEvent
	Packets     []packet.Packet
	Reports     []peer.Report
	Deeds       []Deed
	// Ours are the netlink port ids under which ctsim itself has flushed tables, Deleted those under which it deleted one entry.
	Ours, Deleted map[uint32]bool
	// Samples are the sockets after each step, of up to ten connections; Last what those of every connection were in at the end.
	Samples []SocketSample
	Last    []LastState
	// EndsRead is true once the sockets of every place were read at the end: what is not in Last then was not there. False
	// of a run that did not come to its end.
	EndsRead bool
	// Rules are the counters of every rule at the end, by node.
	Rules map[string][]dataplane.Counter
	// Gone are the counters of rules that a step has taken away or written anew, as they were then, by node; nil if no step has,
	// or no expectation speaks of a rule.
	Gone map[string][]dataplane.Counter `json:",omitempty"`
	// Before are the counters before the first break, by node; nil if nothing was broken.
	Before map[string][]dataplane.Counter
	// Saved are the texts that both were read from.
	Saved []SavedRules
	// Paths are the ways of packets through the rules; Kernel what the kernel itself told.
	Paths  []rulepath.Path
	Kernel []KernelEvent
	// Hops are where packets were captured.
	Hops []packet.Hop
	// Unwatched are the sources that were not to be watched, or could not be.
	Unwatched map[Source]bool
	// Output is what external programs wrote, Settings what they had set on their sockets, Programs how they ended.
	Output   []OutputLine
	Settings []Settings
	Programs []Ran
	// Kept tells why an entry was not aged, KeptAt when; empty if none was to be, or it was.
	Kept   string
	KeptAt time.Time
	// Unmet names the fact that a repeat or wait ended without; empty if there was none.
	Unmet string
	// Lost counts what watchers could not deliver, by source; Missing says what could not be observed, one line each.
	Lost    map[string]int
	Missing []string
	// Interrupted is true if the run was ended before its last step.
	Interrupted bool
}

// Keeping is the deed that notes why an entry was not aged; nil if there is none.
func (e *Evidence) Keeping() any {
	for i := range e.Deeds {
		if e.Deeds[i].Text == e.Kept {
			return &e.Deeds[i]
		}
	}
	return nil
}

// Machine is where and how the facts were observed.
type Machine struct {
	// Release is the kernel's, `uname -r`.
	Release string
	// Rootless is true if it was in a user namespace.
	Rootless bool
	// Phases are the parts of the run and how long each took.
	Phases []Phase
}

// Phase is a part of a run and how long it took, in seconds.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// World is what the evidence is about. Whoever fills the evidence knows it and says it.
type World struct {
	// Service is what the client connects to: the virtual address, or a node port.
	Service netip.AddrPort
	// Pods names the server pods by their address, those removed since too.
	Pods map[netip.Addr]string
	// Nodes are all nodes in the order of their reports; Translating are those of them whose entries translate the
	// service's address: where its clients are.
	Nodes, Translating []string
	// ClientAt is the pod, node or machine that the client runs in, Client its address there.
	ClientAt string
	Client   netip.Addr
	// UDP is true if the service speaks UDP; false is TCP.
	UDP bool
	// External is true if the client is a program that ctsim has not written.
	External bool
	// Places are the pods, nodes and machines, the client's side first, and then what joined them later.
	Places []Place
}

// Translates tells whether a node's entries translate the service's address.
func (w World) Translates(node string) bool { return slices.Contains(w.Translating, node) }

// forwards tells whether what leaves a place may have come from another: a node passes packets on. What leaves a pod
// begins there, and so does what leaves the node that the client runs on.
func (w World) forwards(place string) bool {
	return place != w.ClientAt && slices.Contains(w.Nodes, place)
}

// PodNames are the server pods, in the order of their addresses.
func (w World) PodNames() []string {
	addresses := make([]netip.Addr, 0, len(w.Pods))
	for a := range w.Pods {
		addresses = append(addresses, a)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	names := make([]string, len(addresses))
	for i, a := range addresses {
		names[i] = w.Pods[a]
	}
	return names
}

// IsPod tells whether a place is a server pod.
func (w World) IsPod(place string) bool {
	for _, name := range w.Pods {
		if name == place {
			return true
		}
	}
	return false
}

// PodName is the name of the pod with that address, or the address.
func (w World) PodName(a netip.Addr) string {
	if name := w.Pods[a]; name != "" {
		return name
	}
	return a.String()
}

// Pick is the pod that an entry of a translating node leads to, empty if the entry translates nothing.
func (w World) Pick(ev *EntryEvent) string {
	if !w.Translates(ev.Node) || ev.Original.Dst != w.Service {
		return ""
	}
	return w.Pods[ev.Reply.Src.Addr()]
}

// SavedRules is what `iptables-save -c` printed on a node: before the first break, empty if there was none, and at the end.
type SavedRules struct{ Node, Before, After string }

// FlowFacts is what identifies a connection: its client's address, from a time on, because a source port may be used
// again.
type FlowFacts struct {
	ID    int
	Local netip.AddrPort
	Since time.Time
}

// EntryEvent is a conntrack event and the node whose table it is about.
type EntryEvent struct {
	Node string
	conntrack.Event
	// Within is how much earlier or later than Event.Time it may have happened; 0 if that is the kernel's own time, or as good.
	Within time.Duration
}

// Deed is one step that was taken, or something else that was done, or found out, by whoever ran it.
type Deed struct {
	Time     time.Time
	At, Kind string
	Text     string
	// Exec is the command that was run, nil if it was something else.
	Exec *Execution
}

// KernelEvent is what the kernel did in one namespace.
type KernelEvent struct {
	At string
	kernel.Event
}

// SocketSample is one end of a connection at one moment.
type SocketSample struct {
	Time time.Time
	At   string
	Flow int
	Side peer.Side
	socket.Socket
}

// LastState is what a socket was in at the end.
type LastState struct {
	Flow int
	Side peer.Side
	At   string
	peer.SocketState
	// SendQueue is bytes written and not yet acknowledged, RecvQueue bytes received and not yet read, as the kernel's table
	// had them; 0 of a socket in CLOSE, which is in no table.
	SendQueue, RecvQueue int
	// Pending is the error that the program's next call would have got (SO_ERROR); nil if there was none, and of a socket
	// that is not ctsim's own.
	Pending error
	// Left is true if no program held the socket any more: the kernel alone still did, to end it in order.
	Left bool
	// Timer is the kind that runs, as netstat names it; empty if the socket was in no table.
	Timer string
}

// OutputLine is a line that an external program has written.
type OutputLine struct {
	Side peer.Side
	At   string
	program.Line
}

// Settings are what an external program had set on its end of a connection before the first break.
type Settings struct {
	Flow int
	Side peer.Side
	At   string
	program.Settings
}

// Ran is an external program and how it ended.
type Ran struct {
	Side        peer.Side
	At, Command string
	Exit        program.Exit
}
