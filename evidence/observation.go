package evidence

// Observation is one timestamped fact from one source. Text says it in words; what the words say stands in one of the
// typed fields too, the one that is named after the source.
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
	// Step is the step if Source is step, nil otherwise.
	Step *StepFacts `json:"step,omitempty"`
	// Call is the socket call that a program of ctsim's own made, Output the line that a program of the user's own has
	// written, if Source is client or server; nil otherwise.
	Call   *CallFacts   `json:"call,omitempty"`
	Output *OutputFacts `json:"output,omitempty"`
	// Entry is the conntrack entry if Source is conntrack, nil otherwise.
	Entry *EntryFacts `json:"entry,omitempty"`
	// Packet is the packet's headers if Source is packet, nil otherwise.
	Packet *PacketFacts `json:"packet,omitempty"`
	// Path is the packet's way through a node's rules if Source is rule, nil otherwise.
	Path *PathFacts `json:"path,omitempty"`
	// KernelEvent is what the kernel did if Source is kernel, nil otherwise.
	KernelEvent *KernelFacts `json:"kernel_event,omitempty"`
	// Socket is the socket's state if Source is socket, or if it is that of a client's or server's at the end of the run;
	// nil otherwise.
	Socket *SocketFacts `json:"socket,omitempty"`
}

// StepFacts is a step, or something else that was done while a step was taken.
type StepFacts struct {
	// Number counts the different steps of the run from 1; a step that is taken again, in a repeat for instance, has the
	// same number.
	Number int `json:"number"`
	// Exec is the command that the step ran, nil if it ran none.
	Exec *ExecFacts `json:"exec,omitempty"`
}

// CallFacts is one socket call of ctsim's own client or server, as the program saw it.
type CallFacts struct {
	// Call is connect, accept, send, recv, shutdown or close.
	Call string `json:"call"`
	// Bytes were sent or received; a recv of none without an error is the end of the peer's stream.
	Bytes int `json:"bytes"`
	// Data is what was received, quoted as in Go; empty for other calls.
	Data string `json:"data,omitempty"`
	// Errno is the error's name, "ECONNRESET"; empty if the call succeeded. Error is the same in words.
	Errno string `json:"errno,omitempty"`
	Error string `json:"error,omitempty"`
	// Local and Remote are the socket's own two addresses, ip:port.
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
	// Began is when the call was made, in seconds since the start of the run, Took how many seconds it took; both nil for
	// calls that wait, whose time is when they returned.
	Began *float64 `json:"began,omitempty"`
	Took  *float64 `json:"took_s,omitempty"`
}

// OutputFacts is one line that a program of the user's own has written.
type OutputFacts struct {
	// Stream is stdout or stderr.
	Stream string `json:"stream"`
	Line   string `json:"line"`
	// Errno is the first name of an error that the line holds, "ECONNRESET"; empty if it holds none.
	Errno string `json:"errno,omitempty"`
}

// TupleFacts is what packets of one direction of an entry carry: ip:port, or the address alone of a protocol without
// ports.
type TupleFacts struct {
	Src string `json:"src"`
	Dst string `json:"dst"`
}

// EntryFacts is a conntrack entry as an event shows it.
type EntryFacts struct {
	// Event is NEW, UPDATE or DESTROY.
	Event string `json:"event"`
	// Protocol is tcp, udp, icmp or a number.
	Protocol string `json:"protocol"`
	// Original is the tuple of the first packet, Reply that of its answers: with DNAT, Reply.Src is the backend.
	Original TupleFacts `json:"original"`
	Reply    TupleFacts `json:"reply"`
	// State is conntrack's TCP state, SYN_SENT, ESTABLISHED …; empty if the event did not tell, or it is not TCP.
	State string `json:"state,omitempty"`
	// Left is the time left in whole seconds; nil if the event did not tell.
	Left *int `json:"left_s,omitempty"`
	// Unreplied is true until a packet of the other direction was seen, Assured once the entry is not to be dropped early.
	Unreplied bool `json:"unreplied,omitempty"`
	Assured   bool `json:"assured,omitempty"`
	// Offloaded is true if a flow table forwards the packets; conntrack prints that in the place of ASSURED.
	Offloaded bool `json:"offloaded,omitempty"`
	// Translates is true if the entry changes an address: the answers do not come from where the first packet went, or do
	// not go to where it came from.
	Translates bool `json:"translates"`
	// Destroyer is who ended the entry: caller (a process, by netlink), expiry, rst or kernel; empty if the event is no
	// DESTROY. PortID is the netlink port id of a caller.
	Destroyer string `json:"destroyer,omitempty"`
	PortID    uint32 `json:"port_id,omitempty"`
}

// PacketFacts are the headers of a packet as they were at one hop.
type PacketFacts struct {
	// Journey numbers the packets of the run from 1; the same packet at several hops has the same number. 0 is not known:
	// while a run lasts the packets before it may not all be there.
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
	// ICMP is the message if Protocol is ICMP, nil otherwise.
	ICMP *ICMPFacts `json:"icmp,omitempty"`
}

// ICMPFacts is an ICMP message and, if it is an error, the packet that it complains about.
type ICMPFacts struct {
	// Type and Code are ICMP_* of linux/icmp.h: 3 and 3 are "port unreachable". Name is the same in words.
	Type int    `json:"type"`
	Code int    `json:"code"`
	Name string `json:"name"`
	// Protocol, Src and Dst are those of the packet complained about, as its last hop saw them; empty if there is none.
	Protocol string `json:"protocol,omitempty"`
	Src      string `json:"src,omitempty"`
	Dst      string `json:"dst,omitempty"`
}

// PathFacts is the way of one packet through the rules of a node.
type PathFacts struct {
	Protocol string `json:"protocol"`
	// Src and Dst are ip:port before translation, Flags a TCP segment's as tcpdump prints them.
	Src   string `json:"src"`
	Dst   string `json:"dst"`
	Flags string `json:"flags,omitempty"`
	// State is what conntrack said of the packet: NEW for one that makes an entry, ESTABLISHED … Empty for a packet that is
	// INVALID, and on kernels before 6.16. Reply is true if it goes against the direction of the connection's first.
	State string `json:"state,omitempty"`
	Reply bool   `json:"reply,omitempty"`
	// Verdict is what the last hop said; empty without hops.
	Verdict string `json:"verdict,omitempty"`
	// DroppedBy is the rule, as iptables-save prints it, or the policy that threw the packet away; empty if none did.
	DroppedBy string `json:"dropped_by,omitempty"`
	// Hops are the rules and policies that it met, in order.
	Hops []HopFacts `json:"hops"`
}

// HopFacts is a rule that a packet matched, a return, or a chain's policy.
type HopFacts struct {
	Table string `json:"table"`
	Chain string `json:"chain"`
	// Kind is rule, policy or return.
	Kind string `json:"kind"`
	// Rule is the rule as iptables-save prints it after `-A CHAIN `; empty if it is not known, and for what is no rule.
	Rule string `json:"rule,omitempty"`
	// Handle is the kernel's number of the rule in its table; 0 for what is no rule.
	Handle uint64 `json:"handle,omitempty"`
	// Verdict is ACCEPT, DROP, RETURN, CONTINUE, JUMP or GOTO; of the last two Target is the chain.
	Verdict string `json:"verdict,omitempty"`
	Target  string `json:"target,omitempty"`
}

// KernelFacts is one thing that the kernel did to a TCP connection.
type KernelFacts struct {
	// Tracepoint is its name as perf writes it, "tcp:tcp_send_reset".
	Tracepoint string `json:"tracepoint"`
	// State is the socket's at that moment; empty if there was none.
	State string `json:"state,omitempty"`
	// Reason is the kernel's name of why, without its prefix; empty if it gave none.
	Reason string `json:"reason,omitempty"`
	// Errno is the error that the next call on the socket will return; empty for other events.
	Errno string `json:"errno,omitempty"`
	// Src and Dst are ip:port: of the packet if OfPacket is true, else the socket's own and its peer's. Empty if the kernel
	// knew neither.
	Src      string `json:"src,omitempty"`
	Dst      string `json:"dst,omitempty"`
	OfPacket bool   `json:"of_packet,omitempty"`
	// Functions are the few that tell what happened, outermost first.
	Functions []string `json:"functions,omitempty"`
	// Stack are all functions that led there, innermost first.
	Stack []FrameFacts `json:"stack,omitempty"`
}

// FrameFacts is a function on the kernel's stack.
type FrameFacts struct {
	Function string `json:"function"`
	// Telling is true if it is among Functions.
	Telling bool `json:"telling,omitempty"`
}

// SocketFacts is one end of a connection at one moment, as ss and netstat --timers show it.
type SocketFacts struct {
	// Side is client or server.
	Side  string `json:"side"`
	State string `json:"state"`
	// Timer is what netstat prints: "keepalive (34.34/0/0)", "off (0.00/0/0)".
	Timer string `json:"timer"`
	// TimerKind is which timer runs, by netstat's name: off, keepalive, on (retransmission), probe or timewait.
	TimerKind string `json:"timer_kind,omitempty"`
	// SendQueue is bytes written and not yet acknowledged, RecvQueue bytes received and not yet read.
	SendQueue int `json:"send_queue"`
	RecvQueue int `json:"recv_queue"`
	// Unacked counts the segments in flight, Retransmits those ever sent again.
	Unacked     int `json:"unacked"`
	Retransmits int `json:"retransmits"`
	// Pending is the error that the program's next call would have got, "ECONNRESET"; empty if there was none, and of a
	// socket that was looked at before the end.
	Pending string `json:"pending,omitempty"`
	// Local and Remote are the socket's own two addresses, ip:port; empty of a socket at the end of the run.
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
}
