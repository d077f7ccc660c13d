package scenario

import (
	"fmt"
	"slices"
)

// RemoveEndpoints takes endpoints out of the service, as kube-proxy does when a pod is no longer ready: rules and
// chains go, TCP entries are left alone. The pods go on running.
type RemoveEndpoints struct {
	Which string `yaml:"which,required" short:"yes" pattern:"^(serving|all|server-[0-9]+)$" doc:"serving: the one the first connection leads to; all: every endpoint; or the name of a pod."`
}

func (s *RemoveEndpoints) describe() string {
	switch s.Which {
	case "all":
		return "remove all endpoints from the service (scale to zero)"
	case "serving":
		return "remove the connection's endpoint from the service"
	}
	return "remove " + s.Which + " from the service's endpoints"
}

func (s *RemoveEndpoints) check(sc Scenario) string {
	if s.Which == "serving" && sc.World.Connections > 1 {
		return "with several connections there is no one endpoint that serves; want world.connections: 1"
	}
	if s.Which != "serving" && s.Which != "all" && !slices.Contains(sc.places(), s.Which) {
		return fmt.Sprintf("there is no pod %s with %d backends", s.Which, sc.World.Backends)
	}
	return ""
}

// AddEndpoints makes every server pod that is alive an endpoint again.
type AddEndpoints struct{}

func (*AddEndpoints) describe() string {
	return "make every live server pod an endpoint of the service"
}
func (*AddEndpoints) check(Scenario) string { return "" }

// StopServers ends the server programs' listening; the pods, and the connections they have, stay.
type StopServers struct{}

func (*StopServers) describe() string      { return "the servers stop listening" }
func (*StopServers) check(Scenario) string { return "" }

// KillPod takes a server pod away without a word, as a crash of its sandbox does; the rules stay as they are.
type KillPod struct {
	Pod string `yaml:"pod,required" short:"yes" pattern:"^(serving|server-[0-9]+)$" doc:"The server pod, server-1 for instance, or serving: the one the first connection leads to."`
}

func (s *KillPod) describe() string {
	if s.Pod == "serving" {
		return "the pod that serves the connection is gone; the rules stay as they are"
	}
	return "pod " + s.Pod + " is gone; the rules stay as they are"
}
func (s *KillPod) check(sc Scenario) string {
	if s.Pod != "serving" && !slices.Contains(sc.places(), s.Pod) {
		return fmt.Sprintf("there is no pod %s with %d backends", s.Pod, sc.World.Backends)
	}
	return ""
}

// TakeAddress starts a pod of another application with the address of a pod that is gone, with a server on the
// same port. It is no endpoint of the service.
type TakeAddress struct {
	Of string `yaml:"of,required" short:"yes" pattern:"^server-[0-9]+$" doc:"The pod that is gone."`
}

// stranger is the pod's name.
const stranger = "stranger"

func (s *TakeAddress) describe() string {
	return "a pod of another application gets the address of " + s.Of
}
func (s *TakeAddress) check(sc Scenario) string {
	killed := false
	sc.Steps.Walk(func(step Step) {
		if k, ok := step.Verb.(*KillPod); ok && k.Pod == s.Of {
			killed = true
		}
	})
	if !killed {
		return s.Of + " still has its address; kill-pod it first"
	}
	return ""
}
