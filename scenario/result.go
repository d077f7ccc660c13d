package scenario

import (
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// SchemaVersion is the version of the JSON form of Result; it grows when a field changes its meaning or goes.
const SchemaVersion = 1

// Verdict tells whether what the scenario expects was seen.
type Verdict string

// The three answers. What could not be observed is Inconclusive, never Pass.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Outcome is what became of a connection.
type Outcome string

// The outcomes. HalfOpen is that of a peer left behind, all others are the connection's as a whole.
const (
	Survived     Outcome = "survived"
	Reset        Outcome = "reset"
	Hang         Outcome = "hang"
	Refused      Outcome = "refused"
	Timeout      Outcome = "timeout"
	WrongBackend Outcome = "wrong-backend"
	// Reconnected is a connection that was lost and that the client's program has replaced by a new one by itself.
	Reconnected Outcome = "reconnected"
	HalfOpen    Outcome = "half-open"
)

// Result is one run of a scenario, complete: text, JSON and every other report are made from it alone.
type Result struct {
	Schema   int     `json:"schema"`
	Scenario string  `json:"scenario"`
	Title    string  `json:"title"`
	Verdict  Verdict `json:"verdict"`
	// Reason is one sentence: why the verdict is what it is.
	Reason string `json:"reason"`
	// Cause tells what happened, one checkable sentence each, in order, each from observations of this run.
	Cause []string `json:"cause"`
	Cure  string   `json:"cure,omitempty"`
	// Kernel is the release, `uname -r`.
	Kernel string `json:"kernel"`
	// Rootless is true if the run was made in a user namespace.
	Rootless  bool      `json:"rootless"`
	Started   time.Time `json:"started"`
	DurationS float64   `json:"duration_s"`
	// TimeScale is what the durations of the scenario were divided by; 0 if they are the run's own.
	TimeScale int     `json:"time_scale,omitempty"`
	Service   Service `json:"service"`
	// Connections are in the order they were opened.
	Connections []Connection `json:"connections"`
	// Summary counts "connections" and each outcome, the ones that did not occur as 0.
	Summary      map[string]int `json:"summary"`
	Expectations []Check        `json:"expectations"`
	// World is the pods, nodes and machines of the run, the client's side first.
	World []Place `json:"world"`
	// Example is the ID of the connection that stands for all: the one that Cause and Entries tell of; 0 if there is none.
	Example int `json:"example,omitempty"`
	// Entries are the lives of the example's conntrack entries, on every node, in the order of their beginnings.
	Entries []Entry `json:"entries"`
	// Rules are those that packets met in the run, as their counters say, node by node in the order of iptables-save.
	Rules    []RuleCount   `json:"rules"`
	Timeline []Observation `json:"timeline"`
	// Lost counts what watchers could not deliver, by source; 0 means that nothing is missing.
	Lost map[string]int `json:"lost"`
	// Missing names what this machine or user could not observe, one line each.
	Missing []string `json:"missing,omitempty"`
	// Interrupted is true if the run was ended before its last step.
	Interrupted bool `json:"interrupted,omitempty"`
	// Programs are those that ctsim has not written, the client first.
	Programs []ProgramRun `json:"programs,omitempty"`
	Phases   []Phase      `json:"phases"`
	// Capture is what a capture file is made of.
	Capture Capture `json:"-"`
	// Saved are the rules of each node as iptables-save -c printed them.
	Saved []SavedRules `json:"-"`
}

// Place is a namespace of the world.
type Place struct {
	Name string `json:"name"`
	// Kind is pod, node or machine: one outside the cluster.
	Kind string `json:"kind"`
	// Role is client or server if such a program runs there; empty otherwise.
	Role string `json:"role,omitempty"`
	// Address is its IPv4 address.
	Address string `json:"address"`
	// Node is the one that a pod hangs on; empty for the others.
	Node string `json:"node,omitempty"`
}

// Entry is one life of a conntrack entry: from the event that made it to the one that destroyed it.
type Entry struct {
	Node string `json:"node"`
	// Backend is the pod that it leads to; empty if it translates nothing.
	Backend string `json:"backend,omitempty"`
	// First and Last are the entry as `conntrack -L` would have printed it when it was made, and after its last change.
	First string `json:"first"`
	Last  string `json:"last"`
	// Made is when, in seconds since the start of the run; Ended too, nil if the entry was there to the end.
	Made  float64  `json:"made"`
	Ended *float64 `json:"ended,omitempty"`
	// By tells who destroyed it, in words; empty if nobody did.
	By string `json:"by,omitempty"`
}

// RuleCount is a rule with its packet counter before the first break and at the end of the run. In the nat table only
// the first packet of a connection is counted, so a Packets that exceeds Before shows that the table was asked again.
type RuleCount struct {
	Node  string `json:"node"`
	Table string `json:"table"`
	Chain string `json:"chain"`
	// Rule is as iptables-save prints it, after `-A CHAIN `.
	Rule    string `json:"rule"`
	Before  uint64 `json:"before"`
	Packets uint64 `json:"packets"`
}

// SavedRules is what `iptables-save -c` printed on a node: before the first break, empty if there was none, and at the end.
type SavedRules struct{ Node, Before, After string }

// Capture is every packet of the run, in the order of time, and the places where they were seen.
type Capture struct {
	Hops    []packet.Hop
	Packets []packet.Packet
	// Comments tell, for the packets that matter, why they do; by the packet's place in Packets.
	Comments map[int]string
}

// Service is the virtual address of the run with its endpoints at the start.
type Service struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Port     int      `json:"port"`
	Protocol string   `json:"protocol"`
	Backends []string `json:"backends"`
}

// Connection is what became of one connection of the client.
type Connection struct {
	// ID counts from 1.
	ID int `json:"id"`
	// Local is the client's ip:port.
	Local   string  `json:"local"`
	Outcome Outcome `json:"outcome"`
	// Errno is the first error an application met, "ECONNRESET" for instance; empty if none did.
	Errno string `json:"errno"`
	// NoticedBy is the side that met it: "client", "server" or empty.
	NoticedBy string `json:"noticed_by"`
	// Backends are the pods the flow was translated to, in order, one for each time an entry was made.
	Backends []string `json:"backends"`
	// Breaks counts how often the flow's entry was destroyed while the connection was open.
	Breaks int `json:"breaks"`
	// Peer is HalfOpen if the other side still holds its socket established; empty otherwise.
	Peer Outcome `json:"peer,omitempty"`
	// NoticedAt is when the kernel told NoticedBy, in seconds since the start of the run; only of a program's connections.
	NoticedAt *float64 `json:"noticed_at,omitempty"`
	// Replaces is the ID of the lost connection in whose place the client's program has opened this one.
	Replaces int `json:"replaces,omitempty"`
	// ClientSocket and ServerSocket are what programs that ctsim has not written have set on their ends.
	ClientSocket *SocketSettings `json:"client_socket,omitempty"`
	ServerSocket *SocketSettings `json:"server_socket,omitempty"`
}

// Check is one thing the scenario expects, and whether it was seen.
type Check struct {
	Text    string  `json:"text"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
}

// Observation is one timestamped fact from one source.
type Observation struct {
	// T is seconds since the start of the run.
	T float64 `json:"t"`
	// Source is step, client, server, conntrack, packet, rule, kernel or socket.
	Source string `json:"source"`
	// At is the pod or node where it was seen.
	At string `json:"at"`
	// Kind says what sort of fact of its source it is: NEW, DESTROY, send, accept, RST …
	Kind string `json:"kind"`
	Text string `json:"text"`
	// By tells who destroyed a conntrack entry, in words; empty for everything else.
	By string `json:"by,omitempty"`
	// Connection is the connection's ID; 0 if the fact belongs to none or to all.
	Connection int `json:"connection,omitempty"`
	// Within is how exact T is: the fact happened at most so many seconds before or after it. 0 is exact, as far as the
	// kernel's clock is.
	Within float64 `json:"within_s,omitempty"`
	// Unordered is true if, because of Within, the fact may as well have come before or after a neighbour.
	Unordered bool `json:"unordered,omitempty"`
	// Detail is what lies behind Text, line by line: of a rule path its rules, of a kernel event the functions, innermost
	// first.
	Detail []string `json:"detail,omitempty"`
	// Packet is the packet's headers if Source is packet, nil otherwise.
	Packet *PacketFacts `json:"packet,omitempty"`
	// Socket is the socket's state if Source is socket, nil otherwise.
	Socket *SocketFacts `json:"socket,omitempty"`
}

// SocketFacts is one end of a connection at one moment, as ss and netstat --timers show it.
type SocketFacts struct {
	// Side is client or server.
	Side  string `json:"side"`
	State string `json:"state"`
	// Timer is what netstat prints: "keepalive (34.34/0/0)", "off (0.00/0/0)".
	Timer string `json:"timer"`
	// SendQueue is bytes written and not yet acknowledged, RecvQueue bytes received and not yet read.
	SendQueue int `json:"send_queue"`
	RecvQueue int `json:"recv_queue"`
	// Unacked counts the segments in flight, Retransmits those ever sent again.
	Unacked     int `json:"unacked"`
	Retransmits int `json:"retransmits"`
}

// PacketFacts are the headers of a packet as they were at one hop.
type PacketFacts struct {
	// Journey numbers the packets of the run from 1; the same packet at several hops has the same number.
	Journey int `json:"journey"`
	// Direction is in or out, seen from where it was captured.
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	// Src and Dst are ip:port at this hop, translated or not.
	Src string `json:"src"`
	Dst string `json:"dst"`
	// Flags is as tcpdump prints them: "S.", "P.", "R".
	Flags string `json:"flags,omitempty"`
	// Seq and Ack count from the beginning of the stream.
	Seq int64 `json:"seq"`
	Ack int64 `json:"ack"`
	// Length is the payload in bytes.
	Length int `json:"length"`
	// Repeat is keep-alive or retransmission if it repeats another; empty otherwise.
	Repeat string `json:"repeat,omitempty"`
	// Comment tells why the packet matters; empty for most.
	Comment string `json:"comment,omitempty"`
}

// Phase is a part of a run and how long it took, in seconds.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Progress tells a person what a run is waiting for.
type Progress struct {
	// Step counts from 1 to Steps; 0 while the world is built.
	Step, Steps int
	Text        string
	// Left is what is left of a wait; 0 if it is not known.
	Left time.Duration
}
