package scenario

import (
	"net/netip"

	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// Blueprint is a scenario's world apart from its steps: what somebody needs who builds it to work in it by hand.
type Blueprint struct {
	// Topology is the pods, nodes and links.
	Topology topology.Plan
	// Proxy is how kube-proxy is set on every node.
	Proxy kube.ProxyConfig
	// Service is the Service with all backends as its endpoints.
	Service kube.Service
	// Client is the namespace the client runs in, Target what it connects to: the service's virtual address, or from
	// outside the cluster its node port.
	Client string
	Target netip.AddrPort
}

// Blueprint gives the scenario's world. It needs no privileges.
func (s Scenario) Blueprint() Blueprint {
	b := Blueprint{Topology: s.topology(), Proxy: s.proxy(), Service: s.service(), Target: s.target()}
	b.Client, _ = s.client()
	return b
}

// Server is the plan of the i-th server pod, counted from 0, and the node it hangs on. The pod need not be among the
// scenario's backends: it is the one that there would be with more of them.
func (s Scenario) Server(i int) (pod topology.Pod, node string) {
	s.World.Backends = max(s.World.Backends, i+1)
	node = s.serverNode(i)
	for _, n := range s.topology().Nodes {
		for _, p := range n.Pods {
			if p.Name == serverName(i) {
				return p, node
			}
		}
	}
	return pod, node // never: topology has all backends
}

// MaxBackends is how many server pods the address range has room for.
const MaxBackends = 250
