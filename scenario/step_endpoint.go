package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/topology"
)

// removeEndpointsStep takes endpoints out of the service, as kube-proxy does when a pod is no longer ready: rules and
// chains go, TCP entries are left alone. The pods go on running.
type removeEndpointsStep struct {
	Which string `yaml:"which,required" short:"yes" pattern:"^(serving|all|server-[0-9]+)$" doc:"serving: the one the first connection leads to; all: every endpoint; or the name of a pod."`
}

func (s *removeEndpointsStep) describe() string {
	switch s.Which {
	case "all":
		return "remove all endpoints from the service (scale to zero)"
	case "serving":
		return "remove the connection's endpoint from the service"
	}
	return "remove " + s.Which + " from the service's endpoints"
}

func (s *removeEndpointsStep) check(sc Scenario) string {
	if s.Which == "serving" && sc.World.Connections > 1 {
		return "with several connections there is no one endpoint that serves; want world.connections: 1"
	}
	if s.Which != "serving" && s.Which != "all" && !slices.Contains(sc.places(), s.Which) {
		return fmt.Sprintf("there is no pod %s with %d backends", s.Which, sc.World.Backends)
	}
	return ""
}

func (s *removeEndpointsStep) run(_ context.Context, r *run, _ []*flow) error {
	if s.Which == "all" {
		r.endpoints = nil
		return r.sync()
	}
	var gone netip.Addr
	for addr, name := range r.ev.pods {
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

// addEndpointsStep makes every server pod that is alive an endpoint again.
type addEndpointsStep struct{}

func (*addEndpointsStep) describe() string {
	return "make every live server pod an endpoint of the service"
}
func (*addEndpointsStep) check(Scenario) string { return "" }

func (*addEndpointsStep) run(_ context.Context, r *run, _ []*flow) error {
	r.endpoints = nil
	for _, node := range r.lab.Plan().Nodes[1:] {
		for _, pod := range node.Pods {
			if pod.Name != stranger {
				r.endpoints = append(r.endpoints, netip.AddrPortFrom(pod.Address, r.scenario.service().Port))
			}
		}
	}
	return r.sync()
}

// stopServerStep ends the server programs' listening; the pods, and the connections they have, stay.
type stopServerStep struct{}

func (*stopServerStep) describe() string      { return "the servers stop listening" }
func (*stopServerStep) check(Scenario) string { return "" }

func (*stopServerStep) run(_ context.Context, r *run, _ []*flow) error {
	for _, l := range r.servers {
		if err := l.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// killPodStep takes a server pod away without a word, as a crash of its sandbox does; the rules stay as they are.
type killPodStep struct {
	Pod string `yaml:"pod,required" short:"yes" pattern:"^(serving|server-[0-9]+)$" doc:"The server pod, server-1 for instance, or serving: the one the first connection leads to."`
}

func (s *killPodStep) describe() string {
	if s.Pod == "serving" {
		return "the pod that serves the connection is gone, the rules do not know yet"
	}
	return "pod " + s.Pod + " is gone, the rules do not know yet"
}
func (s *killPodStep) check(sc Scenario) string {
	if s.Pod != "serving" && !slices.Contains(sc.places(), s.Pod) {
		return fmt.Sprintf("there is no pod %s with %d backends", s.Pod, sc.World.Backends)
	}
	return ""
}

func (s *killPodStep) run(_ context.Context, r *run, _ []*flow) error {
	// Watchers' and programs' sockets in the pod would keep its namespace, but not its link: that goes now.
	name := s.Pod
	if name == "serving" {
		address, ok := r.serving()
		if !ok {
			return fmt.Errorf("no connection has been translated yet: there is no pod that serves it")
		}
		name = r.ev.pods[address]
	}
	return r.lab.RemovePod(name)
}

// takeAddressStep starts a pod of another application with the address of a pod that is gone, with a server on the
// same port. It is no endpoint of the service.
type takeAddressStep struct {
	Of string `yaml:"of,required" short:"yes" pattern:"^server-[0-9]+$" doc:"The pod that is gone."`
}

// stranger is the pod's name.
const stranger = "stranger"

func (s *takeAddressStep) describe() string {
	return "a pod of another application gets the address of " + s.Of
}
func (s *takeAddressStep) check(sc Scenario) string {
	killed := false
	sc.Steps.walk(func(step Step) {
		if k, ok := step.action.(*killPodStep); ok && k.Pod == s.Of {
			killed = true
		}
	})
	if !killed {
		return s.Of + " still has its address; kill-pod it first"
	}
	return ""
}

func (s *takeAddressStep) run(_ context.Context, r *run, _ []*flow) error {
	i := r.scenario.serverNumber(s.Of)
	pod := topology.Pod{Name: stranger, Address: r.scenario.serverAddress(i), Sysctls: r.scenario.keepaliveSysctls()}
	if err := r.lab.AddPod(r.scenario.serverNode(i), pod); err != nil {
		return err
	}
	r.ev.places = append(r.ev.places, r.scenario.joined(stranger, i))
	if err := errors.Join(r.captureAt(stranger), r.watchKernel(r.lab.Namespace(stranger))); err != nil {
		return err
	}
	return r.serveOn(stranger)
}
