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
	Cause  string `yaml:"cause" text:"lines" doc:"Why it happens."`
	See    string `yaml:"see" text:"lines" doc:"What to look for in the output."`
	Cure   string `yaml:"cure" text:"lines" doc:"What helps."`
	Source string `yaml:"source" doc:"Where the claim comes from: an article, an issue, a kernel function."`
	// TimeScale divides every duration of the scenario, so that it can be written in the numbers of production.
	TimeScale int    `yaml:"time_scale" min:"1" max:"100000" default:"1" doc:"Divides what the world's clocks count, waits and ages: 3600 replays a day in 24 s. Both values are shown. It must divide every timeout exactly: the kernel counts most in whole seconds."`
	World     World  `yaml:"world" doc:"The pods, the nodes, the service, and how they are set."`
	Steps     Steps  `yaml:"steps,required" doc:"What happens, in order."`
	Expect    Expect `yaml:"expect,required" doc:"What must be seen for the verdict to be pass."`

	// place is where the scenario stands in its file, for problems found after decoding.
	place Problem
	// sound is true if all of it could be decoded, so that its parts can be held against each other.
	sound bool
}

// World is the topology of a scenario and the settings in it. Its zero value is the article's world with defaults.
type World struct {
	Backends    int                          `yaml:"backends" min:"1" max:"250" default:"2" doc:"Number of server pods, all endpoints of the service."`
	Nodes       int                          `yaml:"nodes" min:"2" max:"5" default:"2" doc:"Number of nodes: master, the client's, and node1, node2 …, among which the server pods are dealt out."`
	ClientAt    string                       `yaml:"client_at" enum:"pod,node,outside" default:"pod" doc:"Where the client runs: in a pod, on the node master itself, or on a machine outside the cluster."`
	Connections int                          `yaml:"connections" min:"1" max:"4000" default:"1" doc:"Number of connections the client opens."`
	KubeProxy   KubeProxy                    `yaml:"kube_proxy" doc:"How kube-proxy is set on both nodes."`
	Service     ServiceSpec                  `yaml:"service" doc:"The service, with the field names Kubernetes uses."`
	Client      Program                      `yaml:"client" doc:"The client's socket."`
	Server      Program                      `yaml:"server" doc:"The servers' sockets."`
	Conntrack   Timeouts                     `yaml:"conntrack" doc:"Conntrack timeouts of the nodes; defaults are kube-proxy's. All others are sysctls."`
	Sysctls     map[string]map[string]string `yaml:"sysctls" doc:"Sysctls by place: nodes, pods, or the name of one."`
}

// ServiceSpec is the service as its manifest would have it.
type ServiceSpec struct {
	ClusterIP       string `yaml:"clusterIP" format:"ipv4" default:"10.108.33.37" doc:"The virtual address."`
	Port            int    `yaml:"port" min:"1" max:"65535" default:"2222" doc:"The service's port, and the servers' too."`
	Protocol        string `yaml:"protocol" enum:"TCP,UDP" default:"TCP" doc:"The transport; a UDP server answers every message."`
	NodePort        int    `yaml:"nodePort" min:"30000" max:"32767" doc:"A port on every node; a client outside the cluster connects to it on master instead of the virtual address."`
	SessionAffinity string `yaml:"sessionAffinity" enum:"None,ClientIP" default:"None" doc:"ClientIP sends a client to the same endpoint for three hours."`
}

// KubeProxy is the configuration of kube-proxy. The zero value is the default.
type KubeProxy struct {
	MasqueradeAll bool `yaml:"masquerade_all" doc:"--masquerade-all: the node's address and a random port replace the client's."`
	NoInvalidDrop bool `yaml:"no_invalid_drop" doc:"Without the rule that drops what conntrack calls INVALID, as before Kubernetes 1.15 or with nf_conntrack_tcp_be_liberal."`
}

// Program is how the client's or the servers' sockets are set. The zero value is the article's: keepalive off.
type Program struct {
	Exec        string            `yaml:"exec" text:"data" doc:"A program to run instead of ctsim's own, given to sh -c. $SERVICE (host:port), $SERVICE_HOST, $SERVICE_PORT, $PORT, $POD_NAME and $POD_IP tell it of the world, /etc/hosts has all names; it starts in a HOME of its own, $OLDPWD is ctsim's folder; a server listens on $PORT."`
	User        string            `yaml:"user" doc:"The user it runs as, by name or number; without it, ctsim's own: root."`
	Env         map[string]string `yaml:"env" text:"data" doc:"Variables for its environment."`
	Ready       time.Duration     `yaml:"ready" min:"100ms" max:"1h" doc:"How long a server may take to listen; one minute if it is not set."`
	Keepalive   *Keepalive        `yaml:"keepalive" doc:"SO_KEEPALIVE on, with these timers; an empty mapping leaves them to the pod's sysctls."`
	UserTimeout time.Duration     `yaml:"user_timeout" min:"1ms" max:"1h" doc:"TCP_USER_TIMEOUT."`
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
	Line int
	// Text is what a plan says of it in words, in the durations of the file; Here is how long it takes in this run, if that
	// differs. They are empty in a scenario that is no plan yet.
	Text, Here string
	place      Problem // the same, with column and path, for its problems
	Verb       Verb
}
