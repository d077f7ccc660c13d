package scenario

import (
	"context"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/topology"
)

// The article's world.
const (
	nodeMaster = "master"
	podClient  = "client"
)

var (
	nodeNetwork   = netip.MustParsePrefix("192.168.122.0/24")
	masterAddress = netip.MustParseAddr("192.168.122.20")
	clusterCIDR   = netip.MustParsePrefix("172.18.0.0/16")
	masterPods    = netip.MustParsePrefix("172.18.219.0/24")
	node1Pods     = netip.MustParsePrefix("172.18.166.0/23") // room for 250 pods from .130 on
	clientAddress = netip.MustParseAddr("172.18.219.65")
	firstServer   = netip.MustParseAddr("172.18.166.130")
)

// outside is the client's machine if it is none of the cluster's.
const outside = "outside"

var outsideAddress = netip.MustParseAddr("192.168.122.1")

func serverName(i int) string { return "server-" + strconv.Itoa(i+1) }

// nodeNames are master, node1, node2 …
func (s Scenario) nodeNames() []string {
	names := []string{nodeMaster}
	for i := 1; i < max(s.World.Nodes, 2); i++ {
		names = append(names, "node"+strconv.Itoa(i))
	}
	return names
}

// serverAddress is the i-th server pod's, from .130 on in its node's range: 172.18.166.0/23 on node1, 172.18.168.0/23
// on node2 …; the pods are dealt out to the nodes in turn.
func (s Scenario) serverAddress(i int) netip.Addr {
	nodes := max(s.World.Nodes, 2) - 1
	return nthAddress(firstServer, 512*(i%nodes)+i/nodes)
}

// serverNode is the node that the i-th server pod hangs on.
func (s Scenario) serverNode(i int) string {
	nodes := s.nodeNames()[1:]
	return nodes[i%len(nodes)]
}

// serverNumber is the i of serverName, -1 for any other name.
func (s Scenario) serverNumber(name string) int {
	for i := range s.World.Backends {
		if serverName(i) == name {
			return i
		}
	}
	return -1
}

func nthAddress(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(b[:])+uint32(n))))
}

// client is the namespace the client runs in, and its address.
func (s Scenario) client() (string, netip.Addr) {
	switch s.World.ClientAt {
	case "node":
		return nodeMaster, masterAddress
	case outside:
		return outside, outsideAddress
	}
	return podClient, clientAddress
}

// target is what the client connects to: the service's virtual address, or from outside its node port on master.
func (s Scenario) target() netip.AddrPort {
	svc := s.service()
	if s.World.ClientAt == outside && svc.NodePort != 0 {
		return netip.AddrPortFrom(masterAddress, svc.NodePort)
	}
	return netip.AddrPortFrom(svc.ClusterIP, svc.Port)
}

// topology is the plan of the scenario's world.
func (s Scenario) topology() topology.Plan {
	node := append(slices.Clone(s.conntrackSysctls()), s.sysctls("nodes")...)
	pod := slices.Concat(s.keepaliveSysctls(), s.programSysctls(), s.sysctls("pods"))
	plan := topology.Plan{Network: nodeNetwork}
	for i, name := range s.nodeNames() {
		n := topology.Node{Name: name, Address: nthAddress(masterAddress, i), Sysctls: slices.Concat(node, s.sysctls(name))}
		if i == 0 {
			n.PodCIDR = masterPods
			n.Pods = []topology.Pod{{Name: podClient, Address: clientAddress, Sysctls: slices.Concat(pod, s.sysctls(podClient))}}
		} else {
			n.PodCIDR = netip.PrefixFrom(nthAddress(node1Pods.Addr(), 512*(i-1)), node1Pods.Bits())
		}
		plan.Nodes = append(plan.Nodes, n)
	}
	for i := range s.World.Backends {
		n := &plan.Nodes[1+i%(len(plan.Nodes)-1)]
		n.Pods = append(n.Pods, topology.Pod{Name: serverName(i), Address: s.serverAddress(i),
			Sysctls: slices.Concat(pod, s.sysctls("servers"), s.sysctls(serverName(i)))})
	}
	if s.World.ClientAt == outside {
		plan.Hosts = []topology.Host{{Name: outside, Address: outsideAddress, Sysctls: slices.Concat(pod, s.sysctls(podClient))}}
	}
	return plan
}

// conntrackSysctls are the values kube-proxy sets on a node, or the scenario's; and the kernel's clock on events,
// without which they could not be ordered against packets.
func (s Scenario) conntrackSysctls() []topology.Sysctl {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(s.here(d, time.Second) / time.Second)) }
	return []topology.Sysctl{
		{Key: "net.netfilter.nf_conntrack_timestamp", Value: "1"},
		{Key: "net.netfilter.nf_conntrack_tcp_timeout_established", Value: seconds(s.World.Conntrack.Established)},
		{Key: "net.netfilter.nf_conntrack_tcp_timeout_close_wait", Value: seconds(s.World.Conntrack.CloseWait)},
	}
}

// keepaliveSysctls scale the kernel's keepalive timers in the pods; a scenario in real time leaves them alone.
func (s Scenario) keepaliveSysctls() []topology.Sysctl {
	var out []topology.Sysctl
	if s.TimeScale > 1 {
		for _, key := range slices.Sorted(maps.Keys(keepaliveDefaults)) {
			out = append(out, topology.Sysctl{Key: key,
				Value: s.scaledSysctl(key, strconv.Itoa(int(keepaliveDefaults[key]/time.Second)))})
		}
	}
	return out
}

// sysctls are the scenario's own for one place, in the order of their keys.
func (s Scenario) sysctls(place string) []topology.Sysctl {
	var out []topology.Sysctl
	for key, value := range s.World.Sysctls[place] {
		out = append(out, topology.Sysctl{Key: key, Value: s.scaledSysctl(key, value)})
	}
	slices.SortFunc(out, func(a, b topology.Sysctl) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return out
}

// service is the Service as kube-proxy sees it.
func (s Scenario) service() kube.Service {
	spec := s.World.Service
	svc := kube.Service{Namespace: "default", Name: "myservice", Port: uint16(spec.Port), NodePort: uint16(spec.NodePort)}
	svc.ClusterIP, _ = netip.ParseAddr(spec.ClusterIP)
	if spec.Protocol == "UDP" {
		svc.Protocol = kube.UDP
	}
	if spec.SessionAffinity == "ClientIP" {
		svc.Affinity = 3 * time.Hour
	}
	for i := range s.World.Backends {
		svc.Endpoints = append(svc.Endpoints, netip.AddrPortFrom(s.serverAddress(i), svc.Port))
	}
	return svc
}

// protocol is what client and servers speak.
func (s Scenario) protocol() probe.Protocol {
	if s.World.Service.Protocol == "UDP" {
		return probe.UDP
	}
	return probe.TCP
}

// proxy is kube-proxy's configuration on both nodes.
func (s Scenario) proxy() kube.ProxyConfig {
	return kube.ProxyConfig{ClusterCIDR: clusterCIDR, MasqueradeAll: s.World.KubeProxy.MasqueradeAll,
		NoInvalidDrop: s.World.KubeProxy.NoInvalidDrop}
}

// RuleSet is what kube-proxy would install on every node of the scenario's world. It needs no privileges.
func (s Scenario) RuleSet(o Options) (dataplane.Rules, error) {
	s, problems := s.With(o)
	if len(problems) > 0 {
		return nil, problems
	}
	rs := s.rules(s.service().Endpoints)
	return rs, rs.Err()
}

// rules are what kube-proxy writes on every node while the service has these endpoints.
func (s Scenario) rules(endpoints []netip.AddrPort) dataplane.Rules {
	svc := s.service()
	svc.Endpoints = endpoints
	return modes.Default().Rules(s.proxy(), svc)
}

// Options change how a scenario is run. The zero value runs it as it is written.
type Options struct {
	// Backends and Connections replace the scenario's numbers; 0 leaves them.
	Backends, Connections int
	// Flavour of the mode's program to use, "nft" or "legacy" for iptables; empty is the machine's default.
	Flavour string
	// Watch is what to watch; nil is everything. An expectation that needs what is not watched is then inconclusive.
	Watch []Source
	// Observe is given every observation as it is made, from one goroutine at a time, in the order of arrival; the
	// result's timeline is the one in the order of time. Nil is allowed.
	Observe func(Observation)
	// Before is called before each step, those inside a repeat too, while nothing else of the run goes on; for the kernel
	// and its timers time goes on. Its error ends the run, but for ErrSkip, which leaves the step out. Nil is allowed.
	Before func(context.Context, *Pause) error
	// Progress is told what the run is waiting for, from one goroutine at a time. Nil is allowed.
	Progress func(Progress)
}

// With is the scenario with the options' numbers instead of its own, and what makes that impossible to run; nil if
// nothing does.
func (s Scenario) With(o Options) (Scenario, Problems) {
	if o.Backends != 0 {
		s.World.Backends = o.Backends
	}
	if o.Connections != 0 {
		s.World.Connections = o.Connections
	}
	return s, s.problems()
}

// Check reports what makes the scenario impossible to run with the options; nil if nothing does.
func (s Scenario) Check(o Options) Problems {
	_, problems := s.With(o)
	return problems
}

// places are the names sysctls can be set for.
func (s Scenario) places() []string {
	out := append([]string{"nodes", "pods", "servers", podClient}, s.nodeNames()...)
	for i := range s.World.Backends {
		out = append(out, serverName(i))
	}
	return out
}
