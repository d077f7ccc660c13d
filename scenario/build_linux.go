package scenario

import (
	"context"
	"errors"
	"os"

	"github.com/ctsim/ctsim/topology"
)

// Build makes the namespaces and links of a world, without rules. It loads what the kernel has as modules. The error is
// *Unsupported if this machine or user cannot. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the current user namespace.
func Build(ctx context.Context, plan topology.Plan) (*topology.Lab, error) {
	lab, err := topology.Up(ctx, plan)
	if errors.Is(err, os.ErrNotExist) {
		// The sysctls of conntrack are there once its module is; asking for the table makes the kernel load it.
		if load() == nil {
			lab, err = topology.Up(ctx, plan)
		}
	}
	return lab, unsupported(err)
}

// Unsupportable turns an error that means "not on this machine, not as this user" into *Unsupported, which says so with
// a hint; others are given back as they are.
func Unsupportable(err error) error { return unsupported(err) }

// Topology is the namespaces and links of a plan.
func Topology(p *Plan) topology.Plan {
	out := topology.Plan{Network: p.Network}
	for _, n := range p.Nodes {
		node := topology.Node{Name: n.Name, Address: n.Address, PodCIDR: n.PodCIDR, Sysctls: topologySysctls(n.Sysctls)}
		for _, pod := range p.Pods {
			if pod.Node == n.Name {
				node.Pods = append(node.Pods, TopologyPod(pod))
			}
		}
		out.Nodes = append(out.Nodes, node)
	}
	for _, m := range p.Machines {
		out.Hosts = append(out.Hosts, topology.Host{Name: m.Name, Address: m.Address, Sysctls: topologySysctls(m.Sysctls)})
	}
	return out
}

// TopologyPod is a pod of a plan as topology builds it.
func TopologyPod(p Pod) topology.Pod {
	return topology.Pod{Name: p.Name, Address: p.Address, Sysctls: topologySysctls(p.Sysctls)}
}

func topologySysctls(all []Sysctl) []topology.Sysctl {
	var out []topology.Sysctl
	for _, s := range all {
		out = append(out, topology.Sysctl{Key: s.Key, Value: s.Value})
	}
	return out
}
