package byhand

import (
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/scenario"
)

// change is what a verb does to the endpoints and the pods; i is the server that it names, if it names one. At the prompt
// it is known which that is, and the change becomes the iptables calls that make it; a script reckons with every one that
// it may be, and puts all rules of a node in at once.
type change func(e endpointState, i int) endpointState

func removed(e endpointState, i int) endpointState {
	return endpointState{leaving(e.endpoints, i), e.alive}
}
func allRemoved(e endpointState, _ int) endpointState { return endpointState{nil, e.alive} }
func allAdded(e endpointState, _ int) endpointState   { return endpointState{e.alive, e.alive} }
func killed(e endpointState, i int) endpointState {
	return endpointState{e.endpoints, leaving(e.alive, i)}
}

// rulesFor are a node's with these servers as endpoints.
func rulesFor(p *scenario.Plan, endpoints []int) dataplane.Rules {
	svc := p.Service
	svc.Endpoints = nil
	for _, i := range endpoints {
		svc.Endpoints = append(svc.Endpoints, netip.AddrPortFrom(p.Servers[i].Address, svc.Port))
	}
	return modeOf(p).Rules(p.Proxy, svc)
}

// modeOf is the mode of kube-proxy that the plan says, in the machine's own flavour: which engine of the kernel the rules
// are for makes no difference to what is typed.
func modeOf(p *scenario.Plan) dataplane.Mode {
	mode, err := modes.Find(p.Mode, "")
	if err != nil {
		panic("byhand: " + err.Error()) // a plan is checked
	}
	return mode
}

// commandsFor are the iptables calls on every node for a change; nil if the pod that it names is not known.
func (m Moment) commandsFor(pod string, to change) []Command {
	if pod == "serving" {
		pod = m.Serving
	}
	named := slices.Index(m.Plan.ServerNames(), pod)
	if named < 0 && pod != "all" {
		return nil
	}
	var now endpointState
	for i, server := range m.Plan.Servers {
		if slices.Contains(m.Endpoints, netip.AddrPortFrom(server.Address, m.Plan.Service.Port)) {
			now.endpoints = append(now.endpoints, i)
		}
		if slices.Contains(m.Pods, server.At) {
			now.alive = append(now.alive, i)
		}
	}
	var out []Command
	lines := modeOf(m.Plan).Commands(rulesFor(m.Plan, now.endpoints), rulesFor(m.Plan, to(now, named).endpoints))
	for _, node := range m.Plan.NodeNames() {
		for _, line := range lines {
			out = append(out, Command{At: node, Line: line})
		}
	}
	return out
}

func removeEndpointsCommands(s *scenario.RemoveEndpoints, m Moment) []Command {
	if s.Which == "all" {
		return m.commandsFor(s.Which, allRemoved)
	}
	return m.commandsFor(s.Which, removed)
}

func scriptRemoveEndpoints(s *scenario.RemoveEndpoints, w *scriptWriter) error {
	if s.Which == "all" {
		w.line("endpoints=")
		w.line("install_rules")
		w.change(s.Which, allRemoved)
		return nil
	}
	w.act(act{at: s.Which, script: calls("remove_endpoint")})
	w.change(s.Which, removed)
	return nil
}

func addEndpointsCommands(_ *scenario.AddEndpoints, m Moment) []Command {
	return m.commandsFor("all", allAdded)
}

func scriptAddEndpoints(_ *scenario.AddEndpoints, w *scriptWriter) error {
	w.line("endpoints=$pods")
	w.line("install_rules")
	w.change("all", allAdded)
	return nil
}

// stop is typed into every server, of which only those over TCP listen to what is typed.
const stop = "/stop"

func stopServersCommands(_ *scenario.StopServers, m Moment) []Command {
	m.Serving = ""
	return m.commands(act{into: "server", line: stop})
}

func scriptStopServers(_ *scenario.StopServers, w *scriptWriter) error {
	if w.plan.UDP() {
		w.line(`for pod in $pods; do kill "${pids[$pod]}"; done`)
		return nil
	}
	w.line(`for pod in $pods; do tell "$pod" %s; done`, stop)
	return nil
}

// killPod takes the pod's link; a script's function ends what runs in the pod, too.
func killPod(s *scenario.KillPod) act {
	return act{at: s.Pod, line: "ip link del eth0", script: calls("kill_pod")}
}

func killPodCommands(s *scenario.KillPod, m Moment) []Command { return m.commands(killPod(s)) }

func scriptKillPod(s *scenario.KillPod, w *scriptWriter) error {
	w.act(killPod(s))
	w.change(s.Pod, killed)
	return nil
}

// scriptTakeAddress builds the pod as every other; at the prompt that would be too many commands to be of use.
func scriptTakeAddress(s *scenario.TakeAddress, w *scriptWriter) error {
	for _, late := range w.plan.Latecomers {
		if late.Of != s.Of {
			continue
		}
		n := w.plan.Node(late.Node)
		w.line("pod %s %s %s %s", late.Name, netip.PrefixFrom(late.Address, n.PodCIDR.Bits()), n.Name, n.Gateway())
		if words := sysctlWords(late.Sysctls); len(words) > 0 {
			w.line("set_sysctls %s", shellWords(append([]string{late.Name}, words...)))
		}
	}
	w.line("links_up")
	w.line("serve %s", w.plan.Latecomers[0].Name)
	return nil
}
