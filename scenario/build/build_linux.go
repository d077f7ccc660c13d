// Package build brings up the namespaces and links of a plan's world, for runs and labs alike, and says what a machine, a
// kernel or a user lacks for it.
package build

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/topology"
)

// Unsupported is the error of a run that this machine, kernel or user cannot make (exit code 3).
type Unsupported struct {
	What string
	// Hint says how to get what is missing: a command to paste.
	Hint string
	Err  error
}

// Error says what is missing and why.
func (u *Unsupported) Error() string {
	if u.Err == nil {
		return u.What
	}
	return u.What + ": " + u.Err.Error()
}

// WayOut is the hint.
func (u *Unsupported) WayOut() string { return u.Hint }

// Unwrap is the operating system's reason, nil if there is none.
func (u *Unsupported) Unwrap() error { return u.Err }

// Up makes the namespaces and links of a world, without rules. It loads what the kernel has as modules. The error is
// *Unsupported if this machine or user cannot. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the current user namespace.
func Up(ctx context.Context, plan topology.Plan) (*topology.Lab, error) {
	lab, err := topology.Up(ctx, plan)
	if errors.Is(err, os.ErrNotExist) {
		// The sysctls of conntrack are there once its module is; asking for the table makes the kernel load it.
		if load() == nil {
			lab, err = topology.Up(ctx, plan)
		}
	}
	return lab, AsUnsupported(err)
}

// AsUnsupported turns an error that means "not on this machine, not as this user" into *Unsupported, which says so with
// a hint; others are given back as they are.
func AsUnsupported(err error) error {
	var known *Unsupported
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, dataplane.ErrNotInstalled):
		return &Unsupported{What: "iptables is needed", Hint: "sudo apt-get install iptables", Err: err}
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return &Unsupported{What: "not permitted", Hint: "run it with sudo", Err: err}
	case errors.Is(err, unix.EMFILE):
		return &Unsupported{What: "out of file descriptors", Hint: "sudo prlimit --pid $$ --nofile=20000:20000", Err: err}
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		return &Unsupported{What: "the kernel lacks something", Hint: "sudo modprobe -a nf_conntrack veth bridge", Err: err}
	}
	return err
}

// load makes the kernel load the module of conntrack.
func load() error {
	ns, err := topology.NewNamespace("load")
	if err != nil {
		return err
	}
	_, err = conntrack.List(ns)
	return errors.Join(err, ns.Close())
}

// Topology is the namespaces and links of a plan. It is pure.
func Topology(p *scenario.Plan) topology.Plan {
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
func TopologyPod(p scenario.Pod) topology.Pod {
	return topology.Pod{Name: p.Name, Address: p.Address, Sysctls: topologySysctls(p.Sysctls)}
}

func topologySysctls(all []scenario.Sysctl) []topology.Sysctl {
	var out []topology.Sysctl
	for _, s := range all {
		out = append(out, topology.Sysctl{Key: s.Key, Value: s.Value})
	}
	return out
}
