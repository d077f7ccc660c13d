package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/topology"
)

func (r *run) removeEndpoints(_ context.Context, s *scenario.RemoveEndpoints, _ []*flow) error {
	if s.Which == "all" {
		r.endpoints = nil
		return r.sync()
	}
	var gone netip.Addr
	for addr, name := range r.ev.Pods {
		if name == s.Which {
			gone = addr
		}
	}
	if s.Which == "serving" {
		var ok bool
		if gone, ok = r.serving(); !ok {
			return fmt.Errorf("no connection has been translated yet: there is no endpoint that serves it")
		}
	}
	r.endpoints = slices.DeleteFunc(r.endpoints, func(a netip.AddrPort) bool { return a.Addr() == gone })
	return r.sync()
}

func (r *run) addEndpoints(_ context.Context, _ *scenario.AddEndpoints, _ []*flow) error {
	r.endpoints = nil
	for _, s := range r.plan.Servers {
		if r.lab.Namespace(s.At) != nil {
			r.endpoints = append(r.endpoints, netip.AddrPortFrom(s.Address, r.plan.Service.Port))
		}
	}
	return r.sync()
}

func (r *run) stopServers(_ context.Context, _ *scenario.StopServers, _ []*flow) error {
	for _, l := range r.servers {
		if err := l.Stop(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) killPod(_ context.Context, s *scenario.KillPod, _ []*flow) error {
	// Watchers' and programs' sockets in the pod would keep its namespace, but not its link: that goes now.
	name := s.Pod
	if name == "serving" {
		address, ok := r.serving()
		if !ok {
			return fmt.Errorf("no connection has been translated yet: there is no pod that serves it")
		}
		name = r.ev.Pods[address]
	}
	return r.lab.RemovePod(name)
}

func (r *run) takeAddress(_ context.Context, s *scenario.TakeAddress, _ []*flow) error {
	i := slices.IndexFunc(r.plan.Latecomers, func(l scenario.Latecomer) bool { return l.Of == s.Of })
	late := r.plan.Latecomers[i] // the plan has one for each such step
	// The server listens before the pod can be reached: what a client sends again and again would be refused else, if it came
	// just then.
	err := r.lab.AddPod(late.Node, build.TopologyPod(late.Pod), func(*topology.Namespace) error { return r.serveOn(late.Name) })
	if err != nil {
		return err
	}
	r.ev.Places = append(r.ev.Places, evidence.Place{Name: late.Name, Kind: "pod", Role: "server", Address: late.Address.String(), Node: late.Node})
	return errors.Join(r.captureAt(late.Name), r.watchKernel(r.lab.Namespace(late.Name)))
}
