package scenario

import (
	"github.com/ctsim/ctsim/evidence/account"
)

// Expect is what a scenario says must be seen. Every field that is set is one expectation; each connection must meet
// it unless the field says otherwise. An expectation that covers no connection is inconclusive, and refused where that can
// be seen in the file.
type Expect struct {
	Outcome    account.Outcome `yaml:"outcome" enum:"survived,closed,reset,hang,refused,timeout,wrong-backend,reconnected" doc:"What becomes of every connection that is not listed in connections."`
	Share      *ShareCheck     `yaml:"share" doc:"Instead of outcome: how many of the connections end so. errno, noticed_by, failed_send, rerouted, peer, lost_messages and sockets then speak of those alone."`
	Errno      string          `yaml:"errno" pattern:"^E[A-Z0-9]+$" doc:"The first error an application meets."`
	NoticedBy  string          `yaml:"noticed_by" enum:"client,server,nobody" doc:"The side that meets it; nobody: the connection is lost, and no application was told."`
	FailedSend int             `yaml:"failed_send" min:"1" max:"1000" doc:"Which send of the client after the break fails first; the ones before it succeed."`
	Rerouted   *bool           `yaml:"rerouted" doc:"Whether the last entry of a connection leads to another backend than the first."`
	Peer       account.Outcome `yaml:"peer" enum:"half-open" doc:"The old backend's socket stays established."`
	Breaks     int             `yaml:"breaks_at_least" min:"1" max:"1000" doc:"How often every connection's entry was destroyed, at least."`
	Lost       *int            `yaml:"lost_messages" min:"0" max:"1000" doc:"How many of the client's messages, sent with success, never arrived at a server."`
	Unanswered *int            `yaml:"lost_answers" min:"0" max:"1000" doc:"How many of the servers' messages, sent with success, never arrived at the client: with UDP, the answers."`
	Events     []EventsCheck   `yaml:"events" doc:"Conntrack events a node must show for every connection."`
	Packets    []PacketCheck   `yaml:"packets" doc:"Packets that must be seen, or never, for every connection."`
	Rules      []RuleCheck     `yaml:"rules" doc:"Rules whose packet counters must have moved, or not."`
	Sockets    []SocketCheck   `yaml:"sockets" doc:"What a socket must be in when the run ends."`
	Exec       []ExecCheck     `yaml:"exec" doc:"How commands of the steps exec must end. One that nothing is said of must exit with 0, unless it may_fail."`
	// Connections are those that differ from the rest.
	Connections  []ConnectionCheck `yaml:"connections" doc:"Connections that end differently; what stands above then holds for the others."`
	Alternatives []Alternative     `yaml:"alternatives" doc:"What other kernels show instead."`
}

// ShareCheck compares a share of many connections with a probability. The interval holds all but one in a million
// runs, so that chance alone does not fail it.
type ShareCheck struct {
	Of          account.Outcome `yaml:"of,required" enum:"survived,closed,reset,hang,refused,timeout,wrong-backend,reconnected" doc:"The outcome that is counted."`
	Probability string          `yaml:"probability,required" pattern:"^(0|1|0?\\.[0-9]+|1/N|\\(N-1\\)/N)$" doc:"A number from 0 to 1 written as text, or a formula of N, the number of backends: 1/N or (N-1)/N."`
}

// RuleCheck is a rule of a node that packets must have met.
type RuleCheck struct {
	On    string `yaml:"on" pattern:"^(master|node[1-4])$" default:"master" doc:"The node."`
	Rule  string `yaml:"rule,required" doc:"Part of the rule as iptables-save prints it."`
	Moved *bool  `yaml:"moved,required" doc:"Whether a packet has met it."`
}

// SocketCheck is the state of one side's socket at the end.
type SocketCheck struct {
	Side  string `yaml:"side,required" enum:"client,server" doc:"Whose socket."`
	Timer string `yaml:"timer" enum:"off,on,keepalive,timewait,probe" doc:"The timer that runs, as netstat --timers names it; on is a retransmission."`
	State string `yaml:"state,required" enum:"ESTABLISHED,FIN_WAIT1,FIN_WAIT2,CLOSE_WAIT,LAST_ACK,CLOSING,CLOSE" doc:"Its TCP state."`
}

// ConnectionCheck is how one connection ends.
type ConnectionCheck struct {
	ID        int             `yaml:"id,required" min:"1" max:"4000" doc:"The connection's number, from 1 in the order of connect."`
	Outcome   account.Outcome `yaml:"outcome,required" enum:"survived,closed,reset,hang,refused,timeout,wrong-backend,reconnected" doc:"What becomes of it."`
	Errno     string          `yaml:"errno" pattern:"^E[A-Z0-9]+$" doc:"The first error an application meets."`
	NoticedBy string          `yaml:"noticed_by" enum:"client,server,nobody" doc:"The side that meets it; nobody: the connection is lost, and no application was told."`
}

// Alternative is a whole expectation that also passes.
type Alternative struct {
	Reason string `yaml:"reason,required" doc:"Why another kernel or setting shows this."`
	Expect Expect `yaml:"expect,required" doc:"What is seen then."`
}

// EventsCheck is a sequence of conntrack events that every connection must show on a node, others may stand between.
type EventsCheck struct {
	On       string         `yaml:"on" pattern:"^(master|node[1-4])$" default:"master" doc:"The node: master is the client's, node1 the first of the servers'."`
	Sequence []EventPattern `yaml:"sequence" doc:"Events that must be seen in this order."`
	Never    []EventPattern `yaml:"never" doc:"Events that must not be seen."`
}

// EventPattern describes a conntrack event; what is not set matches all.
type EventPattern struct {
	Type      string `yaml:"type,required" enum:"NEW,UPDATE,DESTROY" doc:"The event's type."`
	State     string `yaml:"state" enum:"SYN_SENT,SYN_RECV,ESTABLISHED,FIN_WAIT,CLOSE_WAIT,LAST_ACK,TIME_WAIT,CLOSE" doc:"The TCP state it carries."`
	Assured   *bool  `yaml:"assured" doc:"Whether it is marked [ASSURED]."`
	Unreplied *bool  `yaml:"unreplied" doc:"Whether it is marked [UNREPLIED]."`
	By        string `yaml:"by" enum:"caller,expiry,rst,kernel" doc:"Who destroyed the entry."`
	Backend   string `yaml:"backend" enum:"first,other" doc:"Whether it leads to the pod of the connection's first entry or to another."`
}

// PacketCheck describes a packet that must be seen at a place.
type PacketCheck struct {
	At    string `yaml:"at" pattern:"^(client|master|node[1-4]|servers)$" default:"client" doc:"Where: on eth0 of the pod or node; client is wherever the client runs, servers any server pod."`
	Flag  string `yaml:"flag,required" enum:"SYN,FIN,RST,keepalive,retransmission" doc:"The TCP flag it carries, or what it is: a keepalive probe, a retransmission."`
	From  string `yaml:"from" enum:"service,client,first-backend,other-backend" doc:"Whose address its source is at that place."`
	Never bool   `yaml:"never" doc:"It must not be seen."`
}

// places are the nodes that the expectation speaks of.
func (x Expect) places() []string {
	var out []string
	for _, e := range x.Events {
		out = append(out, e.On)
	}
	for _, r := range x.Rules {
		out = append(out, r.On)
	}
	for _, p := range x.Packets {
		if p.At != PodClient && p.At != "servers" {
			out = append(out, p.At)
		}
	}
	return out
}
