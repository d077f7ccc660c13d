package topology

import (
	"fmt"
	"net/netip"
)

// Plan is a world as data: nothing in it depends on the machine, and making one needs no privileges.
type Plan struct {
	// Nodes forward, track and translate. They share one link, or a switch when more than two machines hang on it.
	Nodes []Node
	// Hosts are machines outside the cluster on the nodes' network, with a default route to the first node.
	Hosts []Host
	// Network is the nodes' network; every Node.Address and Host.Address lies in it.
	Network netip.Prefix
}

// Node is a namespace that plays a Kubernetes node: a bridge for its pods, `eth0` towards the other nodes, and a
// default route into a sink.
type Node struct {
	Name    string
	Address netip.Addr
	// PodCIDR is the node's share of the pod network; its first address is the bridge's, the pods' gateway.
	PodCIDR netip.Prefix
	Pods    []Pod
	Sysctls []Sysctl
}

// Pod is a namespace that plays a pod, joined to its node's bridge by `eth0`.
type Pod struct {
	Name    string
	Address netip.Addr
	Sysctls []Sysctl
}

// Host is a machine outside the cluster.
type Host struct {
	Name    string
	Address netip.Addr
	Sysctls []Sysctl
}

// Sysctl is one setting of a namespace, as `sysctl -w key=value` would write it.
type Sysctl struct{ Key, Value string }

// Gateway is the address of the node's bridge, the pods' default route: the first address of PodCIDR.
func (n Node) Gateway() netip.Addr { return n.PodCIDR.Masked().Addr().Next() }

// maxName leaves room for "veth-" within IFNAMSIZ (16 with the closing zero).
const maxName = 10

// Check reports what would make the plan impossible to build: names missing, doubled or too long for an interface
// name, addresses missing, doubled or outside their network.
func (p Plan) Check() error {
	names := map[string]bool{}
	addrs := map[netip.Addr]string{}
	add := func(name string, addr netip.Addr, within netip.Prefix) error {
		switch {
		case name == "" || len(name) > maxName:
			return fmt.Errorf("name %q: want 1 to %d characters", name, maxName)
		case names[name]:
			return fmt.Errorf("name %q is used twice", name)
		case !within.Contains(addr):
			return fmt.Errorf("%s: address %s is outside %s", name, addr, within)
		case addrs[addr] != "":
			return fmt.Errorf("%s: address %s is already that of %s", name, addr, addrs[addr])
		}
		names[name], addrs[addr] = true, name
		return nil
	}
	if len(p.Nodes) == 0 {
		return fmt.Errorf("a topology needs a node")
	}
	for _, n := range p.Nodes {
		if err := add(n.Name, n.Address, p.Network); err != nil {
			return err
		}
		if !n.PodCIDR.IsValid() {
			return fmt.Errorf("%s: no pod CIDR", n.Name)
		}
		addrs[n.Gateway()] = "the bridge of " + n.Name
		for _, pod := range n.Pods {
			if err := add(pod.Name, pod.Address, n.PodCIDR); err != nil {
				return err
			}
		}
	}
	for _, h := range p.Hosts {
		if err := add(h.Name, h.Address, p.Network); err != nil {
			return err
		}
	}
	return nil
}

// SwitchName is the namespace that joins more than two machines.
const SwitchName = "switch"

// Names lists the namespaces that the plan is made of: nodes, each followed by its pods, hosts, and the switch between
// the nodes if there is one.
func (p Plan) Names() []string {
	var names []string
	for _, n := range p.Nodes {
		names = append(names, n.Name)
		for _, pod := range n.Pods {
			names = append(names, pod.Name)
		}
	}
	for _, h := range p.Hosts {
		names = append(names, h.Name)
	}
	if len(p.Nodes)+len(p.Hosts) > 2 {
		names = append(names, SwitchName)
	}
	return names
}
