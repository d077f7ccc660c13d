package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/probe/conntrack"
)

// Command is what a person types to do what a step does.
type Command struct {
	// At is the pod or node it is typed in.
	At string
	// Line is a shell command. With Into it is what is typed into a program that runs there, `ctsim client` for instance.
	Line string
	Into string
}

// moment is what a step's commands depend on: the run as it is when the step is about to be taken.
type moment struct {
	plan *Plan
	// endpoints are the service's, serving the pod that the first connection leads to; empty if not known yet.
	endpoints []netip.AddrPort
	serving   string
	// ports are the source ports of the connections the step is for, by number, and ids these numbers in order.
	ports map[int]uint16
	ids   []int
	// entries are the nodes' conntrack tables; pods the server pods that are alive.
	entries map[string][]conntrack.Entry
	pods    []string
}

func (m moment) onNodes(line string) []Command {
	var out []Command
	for _, node := range m.plan.NodeNames() {
		out = append(out, Command{At: node, Line: line})
	}
	return out
}

// into are lines typed into ctsim's client or servers.
func (m moment) into(side, line string) []Command {
	if side == "client" {
		return []Command{{At: m.plan.Client.At, Line: line, Into: "ctsim client"}}
	}
	var out []Command
	for _, pod := range m.pods {
		if m.serving == "" || pod == m.serving {
			out = append(out, Command{At: pod, Line: line, Into: "ctsim server --speak"})
		}
	}
	return out
}

func (m moment) protocol() string {
	return m.plan.Service.Protocol.String()
}

// rulesFor are the iptables calls, on every node, that make other endpoints the service's.
func (m moment) rulesFor(endpoints []netip.AddrPort) []Command {
	rules := func(endpoints []netip.AddrPort) iptables.RuleSet {
		svc := m.plan.Service
		svc.Endpoints = endpoints
		return iptables.Rules(m.plan.Proxy, svc)
	}
	var out []Command
	for _, node := range m.plan.NodeNames() {
		for _, line := range iptables.Commands(rules(m.endpoints), rules(endpoints)) {
			out = append(out, Command{At: node, Line: line})
		}
	}
	return out
}

func connectStepCommands(c *connectStep, m moment) []Command {
	words := []string{"ctsim", "client", m.plan.Target.String()}
	if m.plan.UDP() {
		words = append(words, "--udp")
	}
	words = append(words, flags(m.plan.Client.Socket)...)
	if c.Port != 0 {
		words = append(words, "--bind", netip.AddrPortFrom(m.plan.Client.Address, uint16(c.Port)).String())
	}
	if n := m.plan.Connections; !c.More && n > 1 {
		words = append(words, "--connections", fmt.Sprint(n))
	}
	return []Command{{At: m.plan.Client.At, Line: shellWords(words)}}
}

func sendStepCommands(s *sendStep, m moment) []Command         { return m.into(s.From, "a line of text") }
func shutdownStepCommands(s *shutdownStep, m moment) []Command { return m.into(s.From, "/shutdown") }
func closeStepCommands(s *closeStep, m moment) []Command       { return m.into(s.From, "/close") }

func receiveStepCommands(s *receiveStep, m moment) []Command {
	return m.into("client", "/receive "+s.AtMost.String())
}

func flushStepCommands(s *flushStep, m moment) []Command {
	if s.On != "all" {
		return []Command{{At: s.On, Line: "conntrack -F"}}
	}
	return m.onNodes("conntrack -F")
}

func deleteEntryStepCommands(s *deleteEntryStep, m moment) []Command {
	return []Command{{At: s.On, Line: fmt.Sprintf("conntrack -D -p %s -s %s --orig-port-src %d", m.protocol(), m.plan.Client.Address, m.ports[s.Connection])}}
}

func deleteStaleStepCommands(_ *deleteStaleStep, m moment) []Command {
	var out []Command
	for _, server := range m.plan.Servers {
		address := server.Address
		if slices.ContainsFunc(m.endpoints, func(e netip.AddrPort) bool { return e.Addr() == address }) {
			continue
		}
		out = append(out, m.onNodes(fmt.Sprintf("conntrack -D -p %s --orig-dst %s --reply-src %s", m.protocol(),
			m.plan.Target.Addr(), address))...)
	}
	return out
}

// commands are for the entries that are there. `conntrack -U` takes a time of 0 for none given: 1 is the least, and has
// to be waited for.
func ageStepCommands(a *ageStep, m moment) []Command {
	var out []Command
	expires := false
	for _, node := range m.plan.NodeNames() {
		for _, e := range m.entries[node] {
			t := e.Original
			out = append(out, Command{At: node, Line: fmt.Sprintf(
				"conntrack -U -p %s -s %s -d %s --orig-port-src %d --orig-port-dst %d -t %d", m.protocol(), t.Src.Addr(),
				t.Dst.Addr(), t.Src.Port(), t.Dst.Port(), max(time.Second, e.Timeout-a.By)/time.Second)})
			expires = expires || e.Timeout <= a.By
		}
	}
	if expires {
		out = append(out, Command{At: m.plan.Translates, Line: "sleep 2"})
	}
	return out
}

func waitStepCommands(s *waitStep, m moment) []Command {
	at := m.plan.Client.At
	switch {
	case s.Packet != nil:
		place := s.Packet.At
		if place == "" || place == podClient {
			place = at
		}
		if place == "servers" {
			return nil
		}
		return []Command{{At: place, Line: fmt.Sprintf("tcpdump -nn -i eth0 %s port %d", m.protocol(), m.plan.Service.Port)}}
	case s.Until == "entry-gone":
		var out []Command
		for _, id := range m.ids {
			if p := m.ports[id]; p != 0 {
				out = append(out, Command{At: m.plan.Translates, Line: fmt.Sprintf("conntrack -L -p %s --orig-port-src %d", m.protocol(), p)})
			}
		}
		return out
	case s.Until == "client-closed":
		return []Command{{At: at, Line: fmt.Sprintf("ss -tno 'dport = :%d'", m.plan.Target.Port())}}
	case s.Until == "server-closed" && m.serving != "":
		return []Command{{At: m.serving, Line: fmt.Sprintf("ss -tno 'sport = :%d'", m.plan.Service.Port)}}
	case s.For > 0:
		return []Command{{At: at, Line: "sleep " + seconds(s.For)}}
	}
	return nil
}

func repeatStepCommands(_ *repeatStep, _ moment) []Command { return nil }

func sysctlStepCommands(s *sysctlStep, m moment) []Command {
	return []Command{{At: s.In, Line: "sysctl -w " + ShellQuote(s.Key+"="+s.Value)}}
}

func execStepCommands(s *execStep, _ moment) []Command {
	return []Command{{At: s.In, Line: shellWords(s.Command)}}
}

func removeEndpointsStepCommands(s *removeEndpointsStep, m moment) []Command {
	if s.Which == "all" {
		return m.rulesFor(nil)
	}
	name := s.Which
	if name == "serving" {
		name = m.serving
	}
	server, known := m.plan.Server(name)
	if !known {
		return nil
	}
	return m.rulesFor(slices.DeleteFunc(slices.Clone(m.endpoints), func(e netip.AddrPort) bool {
		return e.Addr() == server.Address
	}))
}

func addEndpointsStepCommands(_ *addEndpointsStep, m moment) []Command {
	var all []netip.AddrPort
	for _, pod := range m.pods {
		if server, known := m.plan.Server(pod); known {
			all = append(all, netip.AddrPortFrom(server.Address, m.plan.Service.Port))
		}
	}
	return m.rulesFor(all)
}

func stopServerStepCommands(_ *stopServerStep, m moment) []Command {
	m.serving = ""
	return m.into("server", "/stop")
}

func killPodStepCommands(s *killPodStep, m moment) []Command {
	pod := s.Pod
	if pod == "serving" {
		pod = m.serving
	}
	return []Command{{At: pod, Line: "ip link del eth0"}}
}

func takeAddressStepCommands(s *takeAddressStep, m moment) []Command { return nil }

func injectStepCommands(s *injectStep, m moment) []Command {
	return m.into("server", fmt.Sprintf("/stray %d %s", s.Offset, s.Flag))
}

func startClientStepCommands(s *startClientStep, m moment) []Command {
	at := m.plan.Client.At
	return []Command{{At: at, Line: "sh -c " + ShellQuote(m.plan.Client.Program.Command)}}
}

func inputStepCommands(s *inputStep, m moment) []Command { return m.program(s.Line) }

func useStepCommands(s *useStep, m moment) []Command {
	if s.Input == "" {
		return nil
	}
	return m.program(s.Input)
}

// program is a line typed into the client's own program.
func (m moment) program(line string) []Command {
	at := m.plan.Client.At
	return []Command{{At: at, Line: strings.TrimRight(line, "\n"), Into: "the client's program"}}
}

// timers are what depends on the time that passes at a prompt.
func timers(p *Plan) []string {
	var out []string
	if d := p.Conntrack.Established; d <= 10*time.Minute {
		out = append(out, "established entries expire after "+d.String()+" of silence")
	}
	for _, side := range []struct {
		name string
		o    Socket
	}{{"client", p.Client.Socket}, {"server", p.Servers[0].Socket}} {
		if side.o.KeepAlive && side.o.KeepIdle > 0 {
			out = append(out, "the "+side.name+"'s keepalive probes after "+side.o.KeepIdle.String()+" of silence")
		} else if side.o.KeepAlive {
			out = append(out, "the "+side.name+"'s keepalive probes when its sysctls say")
		}
		if side.o.UserTimeout > 0 {
			out = append(out, "the "+side.name+" gives up unacknowledged data after "+side.o.UserTimeout.String())
		}
	}
	p.Steps.walk(func(step Step) {
		if a, ok := step.action.(*ageStep); ok {
			out = append(out, "the time you take comes on top of the "+a.By.String()+" that are made up")
		}
	})
	return out
}

// commandsOf are what a person would type to do what a step does; nil if nothing would be typed.
func commandsOf(step Step, m moment) []Command {
	switch v := step.action.(type) {
	case *connectStep:
		return connectStepCommands(v, m)
	case *sendStep:
		return sendStepCommands(v, m)
	case *shutdownStep:
		return shutdownStepCommands(v, m)
	case *closeStep:
		return closeStepCommands(v, m)
	case *receiveStep:
		return receiveStepCommands(v, m)
	case *flushStep:
		return flushStepCommands(v, m)
	case *deleteEntryStep:
		return deleteEntryStepCommands(v, m)
	case *deleteStaleStep:
		return deleteStaleStepCommands(v, m)
	case *ageStep:
		return ageStepCommands(v, m)
	case *waitStep:
		return waitStepCommands(v, m)
	case *repeatStep:
		return repeatStepCommands(v, m)
	case *sysctlStep:
		return sysctlStepCommands(v, m)
	case *execStep:
		return execStepCommands(v, m)
	case *removeEndpointsStep:
		return removeEndpointsStepCommands(v, m)
	case *addEndpointsStep:
		return addEndpointsStepCommands(v, m)
	case *stopServerStep:
		return stopServerStepCommands(v, m)
	case *killPodStep:
		return killPodStepCommands(v, m)
	case *takeAddressStep:
		return takeAddressStepCommands(v, m)
	case *injectStep:
		return injectStepCommands(v, m)
	case *startClientStep:
		return startClientStepCommands(v, m)
	case *inputStep:
		return inputStepCommands(v, m)
	case *useStep:
		return useStepCommands(v, m)
	}
	return nil
}
