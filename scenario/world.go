package scenario

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// The article's world.
const (
	NodeMaster = "master"
	PodClient  = "client"
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
	names := []string{NodeMaster}
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
		return NodeMaster, masterAddress
	case outside:
		return outside, outsideAddress
	}
	return PodClient, clientAddress
}

// target is what the client connects to: the service's virtual address, or from outside its node port on master.
func (s Scenario) target() netip.AddrPort {
	svc := s.service()
	if s.World.ClientAt == outside && svc.NodePort != 0 {
		return netip.AddrPortFrom(masterAddress, svc.NodePort)
	}
	return netip.AddrPortFrom(svc.ClusterIP, svc.Port)
}

// conntrackSysctls are the values kube-proxy sets on a node, or the scenario's, and with a time_scale all others that the
// kernel has; and the kernel's clock on events, without which they could not be ordered against packets.
func (s Scenario) conntrackSysctls() []Sysctl {
	out := []Sysctl{{Key: "net.netfilter.nf_conntrack_timestamp", Value: "1"}}
	for _, c := range conntrackClocks {
		d := s.timeout(c)
		switch {
		case c.name == established && s.World.Conntrack.Established != 0:
			d = s.World.Conntrack.Established // a sysctl of the scenario's own comes after it
		case c.name == closeWait && s.World.Conntrack.CloseWait != 0:
			d = s.World.Conntrack.CloseWait
		case s.TimeScale <= 1:
			continue // as the kernel has it
		}
		out = append(out, Sysctl{Key: conntrackPrefix + c.name, Value: strconv.Itoa(int(s.here(d, time.Second) / time.Second))})
	}
	return out
}

// keepaliveSysctls scale the kernel's keepalive timers in the pods; a scenario in real time leaves them alone.
func (s Scenario) keepaliveSysctls() []Sysctl {
	var out []Sysctl
	if s.TimeScale > 1 {
		for _, key := range slices.Sorted(maps.Keys(keepaliveDefaults)) {
			out = append(out, Sysctl{Key: key,
				Value: s.scaledSysctl(key, strconv.Itoa(int(keepaliveDefaults[key]/time.Second)))})
		}
	}
	return out
}

// sysctls are the scenario's own for one place, in the order of their keys.
func (s Scenario) sysctls(place string) []Sysctl {
	var out []Sysctl
	for key, value := range s.World.Sysctls[place] {
		out = append(out, Sysctl{Key: key, Value: s.scaledSysctl(key, value)})
	}
	slices.SortFunc(out, func(a, b Sysctl) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return out
}

// places are the names sysctls can be set for.
func (s Scenario) places() []string {
	out := append([]string{"nodes", "pods", "servers", PodClient}, s.nodeNames()...)
	for i := range s.World.Backends {
		out = append(out, serverName(i))
	}
	return out
}

// The sizes that the address ranges and the machine have room for.
const (
	// MaxBackends is how many server pods the address range has room for.
	MaxBackends = 250
	maxNodes    = 5
)
