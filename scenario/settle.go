package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctsim/ctsim/kube"
)

// Size replaces a scenario's own numbers, as flags of a command line do. The zero value leaves them.
type Size struct {
	Backends, Connections, Nodes int
}

// Plan settles the scenario: every default, address, name and size, made once. The error is Problems if the scenario
// itself cannot be, which Parse would have said, and *SizeProblem if it cannot be with that size. It needs no privileges.
func (s Scenario) Plan(size Size) (*Plan, error) {
	s, err := s.with(size, Scenario.problems)
	if err != nil {
		return nil, err
	}
	return s.Settle(), nil
}

// WorldPlan is Plan without the steps and what is expected of them: for somebody who works in the world by hand, and to
// whom it makes no difference that a step could not be taken in it.
func (s Scenario) WorldPlan(size Size) (*Plan, error) {
	s.Steps, s.Expect = nil, Expect{}
	s, err := s.with(size, Scenario.worldProblems)
	if err != nil {
		return nil, err
	}
	return s.Settle(), nil
}

// Settle makes the plan of a scenario that has no problems.
func (s Scenario) Settle() *Plan {
	p := &Plan{
		Scenario: s.Name, Title: s.Title, Cause: s.Cause, See: s.See, Cure: s.Cure, Source: s.Source,
		TimeScale: max(s.TimeScale, 1), Network: nodeNetwork, Nodes: s.nodes(), Pods: s.pods(), Translates: NodeMaster,
		Mode:    "iptables",
		Proxy:   kube.ProxyConfig{ClusterCIDR: clusterCIDR, MasqueradeAll: s.World.KubeProxy.MasqueradeAll, NoInvalidDrop: s.World.KubeProxy.NoInvalidDrop},
		Service: s.service(), Target: s.target(),
		Conntrack: Timeouts{Established: s.here(s.timeout(clockNamed(established)), time.Second),
			CloseWait: s.here(s.timeout(clockNamed(closeWait)), time.Second)},
		Connections: s.World.Connections, Expect: s.Expect.withExecs(s.Steps), Settings: s.settings(),
	}
	if s.World.ClientAt == outside {
		p.Machines = []Machine{{Name: outside, Address: outsideAddress, Sysctls: s.podSysctls(PodClient)}}
	}
	if s.externalClient() {
		p.Connections = 0
	}
	p.Steps = s.settled(s.Steps)
	p.Latecomers = s.latecomers()
	p.Client.At, p.Client.Address = s.client()
	p.Client = s.end(p.Client.At, p.Client.Address, s.World.Client)
	for i := range s.World.Backends {
		p.Servers = append(p.Servers, s.end(serverName(i), s.serverAddress(i), s.World.Server))
	}
	if s.externalClient() || s.externalServer() {
		p.Names = p.hostNames()
	}
	return p
}

// nodes are master, which is the client's, and those that the server pods are dealt out to.
func (s Scenario) nodes() []Node {
	var out []Node
	sysctls := append(s.conntrackSysctls(), s.sysctls("nodes")...)
	for i, name := range s.nodeNames() {
		n := Node{Name: name, Address: nthAddress(masterAddress, i), PodCIDR: masterPods,
			Sysctls: slices.Concat(sysctls, s.sysctls(name))}
		if i > 0 {
			n.PodCIDR = netip.PrefixFrom(nthAddress(node1Pods.Addr(), 512*(i-1)), node1Pods.Bits())
		}
		out = append(out, n)
	}
	return out
}

// pods are the client's and the servers'.
func (s Scenario) pods() []Pod {
	out := []Pod{{Name: PodClient, Node: NodeMaster, Address: clientAddress, Sysctls: s.podSysctls(PodClient)}}
	for i := range s.World.Backends {
		out = append(out, Pod{Name: serverName(i), Node: s.serverNode(i), Address: s.serverAddress(i),
			Sysctls: s.podSysctls("servers", serverName(i))})
	}
	return out
}

// podSysctls are those of every pod, then those of the groups and the pod that are named.
func (s Scenario) podSysctls(places ...string) []Sysctl {
	out := slices.Concat(s.keepaliveSysctls(), s.programSysctls(), s.sysctls("pods"))
	for _, place := range places {
		out = append(out, s.sysctls(place)...)
	}
	return out
}

// affinity is how long a client stays with its endpoint (sessionAffinityConfig.clientIP.timeoutSeconds' default).
const affinity = 10800 * time.Second

// service is the Service as kube-proxy sees it, all backends its endpoints.
func (s Scenario) service() kube.Service {
	spec := s.World.Service
	svc := kube.Service{Namespace: "default", Name: "myservice", Port: uint16(spec.Port), NodePort: uint16(spec.NodePort)}
	svc.ClusterIP, _ = netip.ParseAddr(spec.ClusterIP)
	if spec.Protocol == "UDP" {
		svc.Protocol = kube.UDP
	}
	if spec.SessionAffinity == "ClientIP" {
		svc.Affinity = s.here(affinity, time.Second)
	}
	for i := range s.World.Backends {
		svc.Endpoints = append(svc.Endpoints, netip.AddrPortFrom(s.serverAddress(i), svc.Port))
	}
	return svc
}

// end is one end of the connections, with how its program is set in this run's own time.
func (s Scenario) end(at string, address netip.Addr, p Program) End {
	e := End{At: at, Address: address, Socket: s.socket(p)}
	if p.Exec != "" {
		e.Program = &External{Command: p.Exec, User: p.User, Ready: p.Ready, Env: s.environment(at, address, p)}
		if p.Ready == 0 {
			e.Program.Ready = time.Minute
		}
	}
	return e
}

// socket is how a program sets its socket in this run.
func (s Scenario) socket(p Program) Socket {
	o := Socket{UserTimeout: s.here(p.UserTimeout, time.Millisecond)}
	if k := p.Keepalive; k != nil {
		o.KeepAlive, o.KeepCount = true, k.Count
		o.KeepIdle, o.KeepInterval = s.here(k.Idle, time.Second), s.here(k.Interval, time.Second)
	}
	return o
}

// environment is what a program in a pod or on a node is told of the world. The names with the service's own in front
// are those that Kubernetes gives to every container.
func (s Scenario) environment(place string, address netip.Addr, p Program) []string {
	target, svc := s.target(), s.service()
	host, port := target.Addr().String(), strconv.Itoa(int(target.Port()))
	own := strings.ToUpper(strings.ReplaceAll(svc.Name, "-", "_")) + "_SERVICE_"
	out := []string{
		"SERVICE=" + target.String(), "SERVICE_HOST=" + host, "SERVICE_PORT=" + port, "SERVICE_NAME=" + svc.Name,
		own + "HOST=" + host, own + "PORT=" + port,
		"PORT=" + strconv.Itoa(int(svc.Port)), "POD_NAME=" + place, "POD_IP=" + address.String(),
	}
	for key, value := range p.Env {
		out = append(out, key+"="+value)
	}
	slices.Sort(out[9:])
	return out
}

// hostNames is what /etc/hosts says of the service, the machines, the nodes and the pods.
func (p *Plan) hostNames() []HostNames {
	name := p.Service.Name
	out := []HostNames{{p.Service.ClusterIP, []string{name}}}
	for _, longer := range []string{"." + p.Service.Namespace, ".svc", ".cluster.local"} {
		name += longer
		out[0].Names = append(out[0].Names, name)
	}
	for _, m := range p.Machines {
		out = append(out, HostNames{m.Address, []string{m.Name}})
	}
	for _, n := range p.Nodes {
		out = append(out, HostNames{n.Address, []string{n.Name}})
		for _, pod := range p.Pods {
			if pod.Node == n.Name {
				out = append(out, HostNames{pod.Address, []string{pod.Name}})
			}
		}
	}
	return out
}

// settled are the steps with their durations and values as this run uses them, and what they are in words.
func (s Scenario) settled(steps Steps) Steps {
	var out Steps
	for _, step := range steps {
		step.Text = step.Verb.describe()
		switch a := step.Verb.(type) {
		case *Wait:
			here := *a
			if here.For = s.here(a.For, time.Microsecond); here.For > 0 && s.TimeScale > 1 {
				step.Here = here.For.String()
			}
			step.Verb = &here
		case *Receive:
			step.Verb = &Receive{AtMost: s.here(a.AtMost, time.Microsecond)}
		case *Age:
			step.Verb = &Age{By: s.here(a.By, time.Second)}
		case *SetSysctl:
			step.Verb = &SetSysctl{In: a.In, Key: a.Key, Value: s.scaledSysctl(a.Key, a.Value)}
		case *Repeat:
			here := *a
			here.Steps = s.settled(a.Steps)
			step.Verb = &here
		}
		out = append(out, step)
	}
	return out
}

// latecomers are the pods that steps start. They have the settings of pods in general.
func (s Scenario) latecomers() []Latecomer {
	var out []Latecomer
	s.Steps.Walk(func(step Step) {
		if t, ok := step.Verb.(*TakeAddress); ok {
			i := s.serverNumber(t.Of)
			out = append(out, Latecomer{Of: t.Of, Pod: Pod{Name: stranger, Node: s.serverNode(i), Address: s.serverAddress(i),
				Sysctls: s.keepaliveSysctls()}})
		}
	})
	return out
}

// SizeProblem is why a scenario cannot be with a size that was asked for.
type SizeProblem struct {
	// Option is what was too much or too little: backends, connections or nodes; Value is what was asked for.
	Option string
	Value  int
	// Problems are those that the scenario has with it and has not without.
	Problems Problems
}

// Error tells of each problem in a line, in the terms of the option, and of the place in the file only where a step or
// an expectation does not go with it.
func (e *SizeProblem) Error() string {
	var lines []string
	for _, p := range e.Problems {
		text := p.Text
		if !strings.HasSuffix(p.Field, ".world."+e.Option) {
			text = fmt.Sprintf("does not go with %s", p)
		}
		lines = append(lines, fmt.Sprintf("%s %d: %s", e.Option, e.Value, text))
	}
	return strings.Join(lines, "\n")
}

// with is the scenario with that size, checked. What is wrong only with the size is told of the option that makes it so.
func (s Scenario) with(size Size, check func(Scenario) Problems) (Scenario, error) {
	with := func(size Size) Scenario {
		s := s
		for _, o := range []struct{ asked, own *int }{{&size.Backends, &s.World.Backends},
			{&size.Connections, &s.World.Connections}, {&size.Nodes, &s.World.Nodes}} {
			if *o.asked != 0 {
				*o.own = *o.asked
			}
		}
		return s
	}
	sized := with(size)
	problems := check(sized)
	if len(problems) == 0 {
		return sized, nil
	}
	for _, o := range []struct {
		name  string
		value int
		alone Size
	}{{"backends", size.Backends, Size{Backends: size.Backends}}, {"connections", size.Connections, Size{Connections: size.Connections}},
		{"nodes", size.Nodes, Size{Nodes: size.Nodes}}} {
		if o.value == 0 {
			continue
		}
		own := check(s)
		added := slices.DeleteFunc(check(with(o.alone)), func(p Problem) bool { return slices.Contains(own, p) })
		if len(added) > 0 {
			return s, &SizeProblem{o.name, o.value, added}
		}
	}
	return s, problems
}
