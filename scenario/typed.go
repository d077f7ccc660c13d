package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/probe"
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
	scenario Scenario
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
	for _, node := range m.scenario.nodeNames() {
		out = append(out, Command{At: node, Line: line})
	}
	return out
}

// into are lines typed into ctsim's client or servers.
func (m moment) into(side, line string) []Command {
	if side == "client" {
		at, _ := m.scenario.client()
		return []Command{{At: at, Line: line, Into: "ctsim client"}}
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
	if m.scenario.protocol() == probe.UDP {
		return "udp"
	}
	return "tcp"
}

// rulesFor are the commands, on every node, that make other endpoints the service's.
func (m moment) rulesFor(endpoints []netip.AddrPort) []Command {
	lines := modes.Default().Commands(m.scenario.rules(m.endpoints), m.scenario.rules(endpoints))
	var out []Command
	for _, node := range m.scenario.nodeNames() {
		for _, line := range lines {
			out = append(out, Command{At: node, Line: line})
		}
	}
	return out
}

func (c *connectStep) commands(m moment) []Command {
	at, address := m.scenario.client()
	words := []string{"ctsim", "client", m.scenario.target().String()}
	if m.scenario.protocol() == probe.UDP {
		words = append(words, "--udp")
	}
	words = append(words, m.scenario.flags(m.scenario.World.Client)...)
	if c.Port != 0 {
		words = append(words, "--bind", netip.AddrPortFrom(address, uint16(c.Port)).String())
	}
	if n := m.scenario.World.Connections; !c.More && n > 1 {
		words = append(words, "--connections", fmt.Sprint(n))
	}
	return []Command{{At: at, Line: shellWords(words)}}
}

func (s *sendStep) commands(m moment) []Command     { return m.into(s.From, "a line of text") }
func (s *shutdownStep) commands(m moment) []Command { return m.into(s.From, "/shutdown") }
func (s *closeStep) commands(m moment) []Command    { return m.into(s.From, "/close") }

func (s *receiveStep) commands(m moment) []Command {
	return m.into("client", "/receive "+m.scenario.here(s.AtMost, time.Millisecond).String())
}

func (s *flushStep) commands(m moment) []Command {
	if s.On != "all" {
		return []Command{{At: s.On, Line: "conntrack -F"}}
	}
	return m.onNodes("conntrack -F")
}

func (s *deleteEntryStep) commands(m moment) []Command {
	_, address := m.scenario.client()
	return []Command{{At: s.On, Line: fmt.Sprintf("conntrack -D -p %s -s %s --orig-port-src %d", m.protocol(), address, m.ports[s.Connection])}}
}

func (*deleteStaleStep) commands(m moment) []Command {
	var out []Command
	for i := range m.scenario.World.Backends {
		address := m.scenario.serverAddress(i)
		if slices.ContainsFunc(m.endpoints, func(e netip.AddrPort) bool { return e.Addr() == address }) {
			continue
		}
		out = append(out, m.onNodes(fmt.Sprintf("conntrack -D -p %s --orig-dst %s --reply-src %s", m.protocol(),
			m.scenario.target().Addr(), address))...)
	}
	return out
}

// commands are for the entries that are there. `conntrack -U` takes a time of 0 for none given: 1 is the least, and has
// to be waited for.
func (a *ageStep) commands(m moment) []Command {
	by := m.scenario.here(a.By, time.Second)
	var out []Command
	expires := false
	for _, node := range m.scenario.nodeNames() {
		for _, e := range m.entries[node] {
			t := e.Original
			out = append(out, Command{At: node, Line: fmt.Sprintf(
				"conntrack -U -p %s -s %s -d %s --orig-port-src %d --orig-port-dst %d -t %d", m.protocol(), t.Src.Addr(),
				t.Dst.Addr(), t.Src.Port(), t.Dst.Port(), max(time.Second, e.Timeout-by)/time.Second)})
			expires = expires || e.Timeout <= by
		}
	}
	if expires {
		out = append(out, Command{At: translating, Line: "sleep 2"})
	}
	return out
}

func (s *waitStep) commands(m moment) []Command {
	at, _ := m.scenario.client()
	switch {
	case s.Packet != nil:
		place := s.Packet.At
		if place == "" || place == podClient {
			place = at
		}
		if place == "servers" {
			return nil
		}
		return []Command{{At: place, Line: fmt.Sprintf("tcpdump -nn -i eth0 %s port %d", m.protocol(), m.scenario.service().Port)}}
	case s.Until == "entry-gone":
		var out []Command
		for _, id := range m.ids {
			if p := m.ports[id]; p != 0 {
				out = append(out, Command{At: translating, Line: fmt.Sprintf("conntrack -L -p %s --orig-port-src %d", m.protocol(), p)})
			}
		}
		return out
	case s.Until == "client-closed":
		return []Command{{At: at, Line: fmt.Sprintf("ss -tno 'dport = :%d'", m.scenario.target().Port())}}
	case s.Until == "server-closed" && m.serving != "":
		return []Command{{At: m.serving, Line: fmt.Sprintf("ss -tno 'sport = :%d'", m.scenario.service().Port)}}
	case s.For > 0:
		return []Command{{At: at, Line: "sleep " + seconds(m.scenario.here(s.For, time.Millisecond))}}
	}
	return nil
}

func (*repeatStep) commands(moment) []Command { return nil }

func (s *sysctlStep) commands(m moment) []Command {
	return []Command{{At: s.In, Line: "sysctl -w " + ShellQuote(s.Key+"="+m.scenario.scaledSysctl(s.Key, s.Value))}}
}

func (s *execStep) commands(moment) []Command {
	return []Command{{At: s.In, Line: shellWords(s.Command)}}
}

func (s *removeEndpointsStep) commands(m moment) []Command {
	if s.Which == "all" {
		return m.rulesFor(nil)
	}
	name := s.Which
	if name == "serving" {
		name = m.serving
	}
	i := m.scenario.serverNumber(name)
	if i < 0 {
		return nil
	}
	return m.rulesFor(slices.DeleteFunc(slices.Clone(m.endpoints), func(e netip.AddrPort) bool {
		return e.Addr() == m.scenario.serverAddress(i)
	}))
}

func (*addEndpointsStep) commands(m moment) []Command {
	var all []netip.AddrPort
	for _, pod := range m.pods {
		if i := m.scenario.serverNumber(pod); i >= 0 {
			all = append(all, netip.AddrPortFrom(m.scenario.serverAddress(i), m.scenario.service().Port))
		}
	}
	return m.rulesFor(all)
}

func (*stopServerStep) commands(m moment) []Command {
	m.serving = ""
	return m.into("server", "/stop")
}

func (s *killPodStep) commands(m moment) []Command {
	pod := s.Pod
	if pod == "serving" {
		pod = m.serving
	}
	return []Command{{At: pod, Line: "ip link del eth0"}}
}

func (s *takeAddressStep) commands(m moment) []Command { return nil }

func (s *injectStep) commands(m moment) []Command {
	return m.into("server", fmt.Sprintf("/stray %d %s", s.Offset, s.Flag))
}

func (s *startClientStep) commands(m moment) []Command {
	at, _ := m.scenario.client()
	return []Command{{At: at, Line: "sh -c " + ShellQuote(m.scenario.World.Client.Exec)}}
}

func (s *inputStep) commands(m moment) []Command { return m.program(s.Line) }

func (s *useStep) commands(m moment) []Command {
	if s.Input == "" {
		return nil
	}
	return m.program(s.Input)
}

// program is a line typed into the client's own program.
func (m moment) program(line string) []Command {
	at, _ := m.scenario.client()
	return []Command{{At: at, Line: strings.TrimRight(line, "\n"), Into: "the client's program"}}
}

// timers are what depends on the time that passes at a prompt.
func (s Scenario) timers() []string {
	var out []string
	if d := s.here(s.World.Conntrack.Established, time.Second); d <= 10*time.Minute {
		out = append(out, "established entries expire after "+d.String()+" of silence")
	}
	for _, side := range []struct {
		name string
		p    Program
	}{{"client", s.World.Client}, {"server", s.World.Server}} {
		o := s.socket(side.p)
		if o.KeepAlive && o.KeepIdle > 0 {
			out = append(out, "the "+side.name+"'s keepalive probes after "+o.KeepIdle.String()+" of silence")
		} else if o.KeepAlive {
			out = append(out, "the "+side.name+"'s keepalive probes when its sysctls say")
		}
		if o.UserTimeout > 0 {
			out = append(out, "the "+side.name+" gives up unacknowledged data after "+o.UserTimeout.String())
		}
	}
	s.Steps.walk(func(step Step) {
		if a, ok := step.action.(*ageStep); ok {
			out = append(out, "the time you take comes on top of the "+a.By.String()+" that are made up")
		}
	})
	return out
}
