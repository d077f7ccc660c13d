package scenario

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/kube"
)

// Plan is a scenario with everything settled: every default, address, name and size, and every duration as this run
// uses it. It is plain data, the same on every host, made once by Scenario.Plan, never written afterwards, and all that
// build, replay, lab, by-hand commands, script, `show` and reports know of the scenario.
type Plan struct {
	// Scenario is its name; Title to Source are its words about itself.
	Scenario string `json:"scenario"`
	Title    string `json:"title"`
	Cause    string `json:"cause,omitempty"`
	See      string `json:"see,omitempty"`
	Cure     string `json:"cure,omitempty"`
	Source   string `json:"source,omitempty"`
	// TimeScale is what the scenario's durations were divided by; 1 if they are the run's own.
	TimeScale int `json:"time_scale"`

	// Network is the one that nodes and machines share. Nodes are in order, the client's first.
	Network netip.Prefix `json:"network"`
	Nodes   []Node       `json:"nodes"`
	// Pods are the client's, then the server pods in the order of their numbers. Machines are outside the cluster.
	Pods     []Pod     `json:"pods"`
	Machines []Machine `json:"machines,omitempty"`
	// Latecomers are pods that a step starts.
	Latecomers []Latecomer `json:"latecomers,omitempty"`
	// Names is what the /etc/hosts of every pod says of the others, for programs that ctsim has not written.
	Names []HostNames `json:"names,omitempty"`

	// Translates is the node whose rules translate what the client sends, and whose entries the client depends on.
	Translates string `json:"translates"`
	// Mode is kube-proxy's on every node, by its name in the table of modes.
	Mode string `json:"mode"`
	// Proxy is how kube-proxy is set on every node, Service the Service with its endpoints at the start.
	Proxy   kube.ProxyConfig `json:"proxy"`
	Service kube.Service     `json:"service"`
	// Target is what the client connects to: the ClusterIP, or from outside the cluster a node's port.
	Target netip.AddrPort `json:"target"`
	// Conntrack are the timeouts of the nodes.
	Conntrack Timeouts `json:"conntrack"`

	// Client and Servers say where each end of the connections runs and how it is set, servers by number.
	Client  End   `json:"client"`
	Servers []End `json:"servers"`
	// Connections is how many the client opens, beyond those that a step adds; 0 if a program opens them as it likes.
	Connections int `json:"connections"`

	Steps  Steps  `json:"steps"`
	Expect Expect `json:"expect"`
	// Settings is what is out of the ordinary in this world, one line each, in production's numbers and this run's.
	Settings []string `json:"settings"`
}

// Node is a Kubernetes node: it forwards, tracks and translates.
type Node struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// PodCIDR is its share of the cluster's pod addresses.
	PodCIDR netip.Prefix `json:"pod_cidr"`
	Sysctls []Sysctl     `json:"sysctls,omitempty"`
}

// Gateway is the address of the node's bridge, the pods' default route: the first address of PodCIDR.
func (n Node) Gateway() netip.Addr { return n.PodCIDR.Masked().Addr().Next() }

// Pod hangs on its node's bridge.
type Pod struct {
	Name    string     `json:"name"`
	Node    string     `json:"node"`
	Address netip.Addr `json:"address"`
	Sysctls []Sysctl   `json:"sysctls,omitempty"`
}

// Latecomer is a pod that take-address starts with the address of another that is gone.
type Latecomer struct {
	Pod
	// Of is the pod whose address it takes.
	Of string `json:"of"`
}

// Machine is a host outside the cluster on the nodes' network; its default route leads to the first node.
type Machine struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Sysctls []Sysctl   `json:"sysctls,omitempty"`
}

// Sysctl is one setting of a namespace, as `sysctl -w key=value` would write it.
type Sysctl struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// HostNames is one line of /etc/hosts.
type HostNames struct {
	Address netip.Addr `json:"address"`
	Names   []string   `json:"names"`
}

// End is one end of the connections: where its program runs and how that is set.
type End struct {
	// At is the pod, node or machine, Address its address there.
	At      string     `json:"at"`
	Address netip.Addr `json:"address"`
	// Socket is how ctsim's own program sets its socket; the zero value, keepalive off, for another program.
	Socket Socket `json:"socket"`
	// Program runs in the place of ctsim's own; nil for ctsim's own.
	Program *External `json:"program,omitempty"`
}

// Socket is how a program sets its socket. The zero value is the article's: keepalive off.
type Socket struct {
	KeepAlive bool `json:"keepalive"`
	// KeepIdle and KeepInterval are TCP_KEEPIDLE and TCP_KEEPINTVL in whole seconds, KeepCount is TCP_KEEPCNT; 0 leaves
	// them to the pod's sysctls.
	KeepIdle     time.Duration `json:"keepalive_idle,omitempty"`
	KeepInterval time.Duration `json:"keepalive_interval,omitempty"`
	KeepCount    int           `json:"keepalive_count,omitempty"`
	// UserTimeout is TCP_USER_TIMEOUT, 0 the kernel's default.
	UserTimeout time.Duration `json:"user_timeout,omitempty"`
}

// External is a program that ctsim has not written.
type External struct {
	// Command is given to `sh -c`.
	Command string `json:"command"`
	// User is who it runs as; empty is ctsim's own user.
	User string `json:"user,omitempty"`
	// Env is what it is told of the world, KEY=value.
	Env []string `json:"env"`
	// Ready is how long a server may take to listen.
	Ready time.Duration `json:"ready"`
}

// NodeNames are the nodes', the client's first.
func (p *Plan) NodeNames() []string {
	out := make([]string, len(p.Nodes))
	for i, n := range p.Nodes {
		out[i] = n.Name
	}
	return out
}

// Node is the node of that name; the zero value if there is none.
func (p *Plan) Node(name string) Node {
	if i := slices.IndexFunc(p.Nodes, func(n Node) bool { return n.Name == name }); i >= 0 {
		return p.Nodes[i]
	}
	return Node{}
}

// Server is the server end in a pod; false if the pod is none of the servers'.
func (p *Plan) Server(pod string) (End, bool) {
	i := slices.IndexFunc(p.Servers, func(e End) bool { return e.At == pod })
	if i < 0 {
		return End{}, false
	}
	return p.Servers[i], true
}

// ServerNames are the server pods' by number.
func (p *Plan) ServerNames() []string {
	out := make([]string, len(p.Servers))
	for i, s := range p.Servers {
		out[i] = s.At
	}
	return out
}

// ExternalClient and ExternalServer tell whether a program that ctsim has not written stands in the place of its own.
func (p *Plan) ExternalClient() bool { return p.Client.Program != nil }

// ExternalServer is ExternalClient for the servers, which all run the same program.
func (p *Plan) ExternalServer() bool { return len(p.Servers) > 0 && p.Servers[0].Program != nil }

// UDP tells whether client and servers speak UDP.
func (p *Plan) UDP() bool { return p.Service.Protocol == kube.UDP }

// Protocol is the transport as the field writes it: TCP or UDP.
func (p *Plan) Protocol() string { return strings.ToUpper(p.Service.Protocol.String()) }

// MostConnections is how many connections there may be in the end, those that steps add included; of a program that opens
// them as it likes, none is known.
func (p *Plan) MostConnections() int { return p.Steps.opened(p.Connections, func(Step, int) {}) }

// Followed tells whether the connections are few enough to be followed one by one: every packet's way through the
// rules, and every socket after each step. What more of them would tell is the same again.
func (p *Plan) Followed() bool { return max(p.Connections, 1) <= MaxFollowed }

// MaxFollowed is up to how many connections are followed one by one.
const MaxFollowed = 10
