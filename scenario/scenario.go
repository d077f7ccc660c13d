package scenario

import (
	"time"
)

// Scenario is one named case: a world, what happens in it, and what must be seen. The tags of its fields are the
// language: they say how a field is written, what it may hold and what it means, for the decoder and for the JSON
// Schema alike.
type Scenario struct {
	Name   string `yaml:"name,required" pattern:"^[a-z0-9]+(-[a-z0-9]+)*$" doc:"The scenario's name: lower case words joined by hyphens."`
	Title  string `yaml:"title,required" doc:"One line: the claim that is checked."`
	Cause  string `yaml:"cause" doc:"Why it happens."`
	See    string `yaml:"see" doc:"What to look for in the output."`
	Cure   string `yaml:"cure" doc:"What helps."`
	Source string `yaml:"source" doc:"Where the claim comes from: an article, an issue, a kernel function."`
	World  World  `yaml:"world" doc:"The pods, the nodes, the service, and how they are set."`
	Steps  Steps  `yaml:"steps,required" doc:"What happens, in order."`
	Expect Expect `yaml:"expect,required" doc:"What must be seen for the verdict to be pass."`

	// place is where the scenario stands in its file, for problems found after decoding.
	place Problem
}

// World is the topology of a scenario and the settings in it. Its zero value is the article's world with defaults.
type World struct {
	Backends    int                          `yaml:"backends" min:"1" max:"250" default:"2" doc:"Number of server pods, all endpoints of the service."`
	Connections int                          `yaml:"connections" min:"1" max:"4000" default:"1" doc:"Number of connections the client opens."`
	Service     ServiceSpec                  `yaml:"service" doc:"The service, with the field names Kubernetes uses."`
	Client      Program                      `yaml:"client" doc:"The client's socket."`
	Server      Program                      `yaml:"server" doc:"The servers' sockets."`
	Conntrack   Timeouts                     `yaml:"conntrack" doc:"Conntrack timeouts of the nodes; defaults are kube-proxy's."`
	Sysctls     map[string]map[string]string `yaml:"sysctls" doc:"Sysctls by place: nodes, pods, or the name of one."`
}

// ServiceSpec is the service as its manifest would have it.
type ServiceSpec struct {
	ClusterIP       string `yaml:"clusterIP" format:"ipv4" default:"10.108.33.37" doc:"The virtual address."`
	Port            int    `yaml:"port" min:"1" max:"65535" default:"2222" doc:"The service's port, and the servers' too."`
	SessionAffinity string `yaml:"sessionAffinity" enum:"None,ClientIP" default:"None" doc:"ClientIP sends a client to the same endpoint for three hours."`
	MasqueradeAll   bool   `yaml:"masqueradeAll" doc:"kube-proxy's --masquerade-all: the node's address replaces the client's."`
}

// Program is how the client's or the servers' sockets are set. The zero value is the article's: keepalive off.
type Program struct {
	Keepalive   *Keepalive    `yaml:"keepalive" doc:"SO_KEEPALIVE on, with these timers; an empty mapping leaves them to the pod's sysctls."`
	UserTimeout time.Duration `yaml:"user_timeout" min:"1ms" max:"1h" doc:"TCP_USER_TIMEOUT."`
}

// Keepalive is the three timers of SO_KEEPALIVE; zero leaves one to the sysctl.
type Keepalive struct {
	Idle     time.Duration `yaml:"idle" min:"1s" max:"9h" unit:"1s" doc:"TCP_KEEPIDLE: silence before the first probe."`
	Interval time.Duration `yaml:"interval" min:"1s" max:"9h" unit:"1s" doc:"TCP_KEEPINTVL: between probes."`
	Count    int           `yaml:"count" min:"1" max:"127" doc:"TCP_KEEPCNT: unanswered probes before giving up."`
}

// Timeouts are nf_conntrack_tcp_timeout_* of the nodes.
type Timeouts struct {
	Established time.Duration `yaml:"established" min:"1s" max:"120h" unit:"1s" default:"86400s" doc:"nf_conntrack_tcp_timeout_established."`
	CloseWait   time.Duration `yaml:"close_wait" min:"1s" max:"120h" unit:"1s" default:"3600s" doc:"nf_conntrack_tcp_timeout_close_wait."`
}

// Steps is a list of steps.
type Steps []Step

// Step is one action of the timeline.
type Step struct {
	// Name is the step's kind, "flush" for instance.
	Name string
	// Line is where it stands in its file.
	Line   int
	action action
}

// Expect is what a scenario says must be seen. Every field that is set is one expectation; each connection must meet
// it unless the field says otherwise.
type Expect struct {
	Outcome    Outcome       `yaml:"outcome,required" enum:"survived,reset,hang,refused,timeout,wrong-backend" doc:"What becomes of every connection."`
	Errno      string        `yaml:"errno" pattern:"^E[A-Z0-9]+$" doc:"The first error an application meets."`
	NoticedBy  string        `yaml:"noticed_by" enum:"client,server" doc:"The side that meets it."`
	FailedSend int           `yaml:"failed_send" min:"1" max:"1000" doc:"Which send of the client after the break fails first; the ones before it succeed."`
	Rerouted   *bool         `yaml:"rerouted" doc:"Whether the last entry of a connection leads to another backend than the first."`
	Peer       Outcome       `yaml:"peer" enum:"half-open" doc:"The old backend's socket stays established."`
	Breaks     int           `yaml:"breaks_at_least" min:"1" max:"1000" doc:"How often every connection's entry was destroyed, at least."`
	Events     []EventsCheck `yaml:"events" doc:"Conntrack events a node must show for every connection."`
	Packets    []PacketCheck `yaml:"packets" doc:"Packets that must be seen, or never, for every connection."`
}

// EventsCheck is a sequence of conntrack events that every connection must show on a node, others may stand between.
type EventsCheck struct {
	On       string         `yaml:"on" enum:"master,node1" default:"master" doc:"The node: master is the client's, node1 the servers'."`
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
	At    string `yaml:"at" enum:"client,master,node1,servers" default:"client" doc:"Where: on eth0 of the pod or node; servers is any server pod."`
	Flag  string `yaml:"flag,required" enum:"SYN,FIN,RST" doc:"The TCP flag it carries."`
	From  string `yaml:"from" enum:"service,client,first-backend,other-backend" doc:"Whose address its source is at that place."`
	Never bool   `yaml:"never" doc:"It must not be seen."`
}
