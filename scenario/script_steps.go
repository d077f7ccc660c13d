package scenario

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/probe"
)

func (c *connectStep) script(w *scriptWriter, depth int) error {
	n := 1
	if !c.More {
		if w.next > 1 {
			return nil // all are open
		}
		n = w.scenario.World.Connections
	}
	if depth > 0 {
		return w.cannot("in a repeat it would open connections without number")
	}
	_, address := w.scenario.client()
	from := address.String()
	if c.Port != 0 {
		from = netip.AddrPortFrom(address, uint16(c.Port)).String()
	}
	line := fmt.Sprintf("connect %d %d %s", w.next, n, from)
	if n > 1 {
		line += fmt.Sprintf(" --connections %d", n)
	}
	if c.Timeout != connectTimeout {
		line += " --timeout " + c.Timeout.String()
	}
	w.line(depth, "%s", line)
	w.clients = append(w.clients, w.next)
	w.next += n
	return nil
}

func (s *sendStep) script(w *scriptWriter, depth int) error {
	if s.From == "server" {
		if w.next > 2 && s.Connection != 0 {
			return w.cannot("a server does not know its connections' numbers")
		}
		if w.scenario.protocol() == probe.UDP {
			return w.cannot("a UDP server only answers")
		}
		w.line(depth, "message")
		w.line(depth, `server_does "$message"`)
		return nil
	}
	w.line(depth, "message")
	if s.Connection == 0 {
		for _, c := range w.clients {
			w.line(depth, "%s", w.send(c))
		}
		return nil
	}
	for i, c := range w.clients {
		if c == s.Connection && w.size(i) == 1 {
			w.line(depth, "%s", w.send(c))
			return nil
		}
	}
	return w.cannot("connection %d has no client of its own", s.Connection)
}

// send has the message of a client with one connection begin with its number; a client with many does so itself.
func (w *scriptWriter) send(c int) string {
	for i, other := range w.clients {
		if other == c && w.size(i) > 1 {
			return fmt.Sprintf("send %d ''", c)
		}
	}
	return fmt.Sprintf("send %d '%d '", c, c)
}

// size is how many connections the i-th client has.
func (w *scriptWriter) size(i int) int {
	end := w.next
	if i+1 < len(w.clients) {
		end = w.clients[i+1]
	}
	return end - w.clients[i]
}

// tell has every client, or every server, do what a line says.
func (w *scriptWriter) tell(depth int, side, line string) {
	if side == "server" {
		w.line(depth, "server_does %s", ShellQuote(line))
		return
	}
	for _, c := range w.clients {
		w.line(depth, "tell client-%d %s", c, ShellQuote(line))
	}
}

func (s *shutdownStep) script(w *scriptWriter, depth int) error {
	w.tell(depth, s.From, "/shutdown")
	return nil
}

func (s *closeStep) script(w *scriptWriter, depth int) error {
	w.tell(depth, s.From, "/close")
	return nil
}

func (s *receiveStep) script(w *scriptWriter, depth int) error {
	w.tell(depth, "client", "/receive "+w.scenario.here(s.AtMost, time.Millisecond).String())
	return nil
}

func (s *flushStep) script(w *scriptWriter, depth int) error {
	if s.On == "all" {
		w.line(depth, "for node in $nodes; do flush \"$node\"; done")
		return nil
	}
	w.line(depth, "flush %s", s.On)
	return nil
}

func (s *deleteEntryStep) script(w *scriptWriter, depth int) error {
	if s.On != nodeMaster && w.scenario.World.KubeProxy.MasqueradeAll {
		return w.cannot("behind the masquerading node the connection has another port")
	}
	w.line(depth, `ip netns exec %s conntrack -D -p "$protocol" --orig-port-src "$(client_port %d)" >/dev/null 2>&1 || true`,
		s.On, s.Connection)
	return nil
}

func (s *deleteStaleStep) script(w *scriptWriter, depth int) error {
	w.line(depth, "delete_stale")
	return nil
}

func (a *ageStep) script(w *scriptWriter, depth int) error {
	by := int(w.scenario.here(a.By, time.Second) / time.Second)
	w.line(depth, "for node in $nodes; do age \"$node\" %d; done", by)
	return nil
}

func (s *sysctlStep) script(w *scriptWriter, depth int) error {
	w.line(depth, "set_sysctls %s %s", s.In, ShellQuote(s.Key+"="+w.scenario.scaledSysctl(s.Key, s.Value)))
	return nil
}

func (s *execStep) script(w *scriptWriter, depth int) error {
	limit := s.Timeout
	if limit == 0 {
		limit = 10 * time.Second
	}
	w.line(depth, "ip netns exec %s timeout %s %s || echo \"exit code $?\"", s.In, seconds(limit), shellWords(s.Command))
	return nil
}

// seconds is a duration as sleep and timeout take it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

func (s *waitStep) script(w *scriptWriter, depth int) error {
	limit := int((s.limit() + time.Second - 1) / time.Second)
	switch {
	case s.Packet != nil:
		return s.scriptPacket(w, depth, limit)
	case s.Until == "entry-gone":
		if w.next != 2 {
			return w.cannot("with several connections the script does not know which entry is meant")
		}
		w.line(depth, `expired "$(client_port 1)" %d`, limit)
	case s.Until == "client-closed":
		w.tell(depth, "client", "/wait "+s.limit().String())
	case s.Until == "server-closed":
		w.line(depth, "server_closed %d %d", w.next-1, limit)
	default:
		w.line(depth, "sleep %s%s", seconds(w.scenario.here(s.For, time.Millisecond)), w.scaled(s.For))
	}
	return nil
}

// scaled is a comment that gives a duration as the scenario has it, if time_scale makes it another.
func (w *scriptWriter) scaled(d time.Duration) string {
	if w.scenario.here(d, time.Millisecond) == d {
		return ""
	}
	return fmt.Sprintf(" # %s, divided by %d", d, w.scenario.TimeScale)
}

// scriptPacket waits by the client's own counters: the only packets that a kernel counts and a run waits for.
func (s *waitStep) scriptPacket(w *scriptWriter, depth, limit int) error {
	strictyaml.SetDefaults(s.Packet)
	counter := map[string]string{"keepalive": "TcpExtTCPKeepAlive", "retransmission": "TcpRetransSegs"}[s.Packet.Flag]
	if counter == "" || s.Packet.From != "client" && s.Packet.From != "" || s.Packet.At != podClient {
		return w.cannot("no counter of the kernel tells of it: %s", s.Packet.describe())
	}
	w.line(depth, `counted "$client" %s "$(counter "$client" %s)" %d %d`, counter, counter, w.next-1, limit)
	return nil
}

func (s *repeatStep) script(w *scriptWriter, depth int) error {
	rounds := strings.Repeat("r", depth+1) + "ounds"
	if s.Until == "" {
		w.line(depth, "for %s in $(seq %d); do", strings.TrimSuffix(rounds, "s"), s.Times)
	} else {
		if w.next != 2 {
			return w.cannot("with several connections, those that are re-routed would have to be left out one by one")
		}
		w.line(depth, "%s=0", rounds)
		w.line(depth, `until rerouted "$(client_port 1)"; do`)
		w.line(depth+1, "%s=$((%s + 1))", rounds, rounds)
		w.line(depth+1, `[ "$%s" -le %d ] || unclear "not re-routed in %d rounds"`, rounds, s.AtMost, s.AtMost)
	}
	repeat := w.step
	before := len(w.variants)
	if err := w.steps(s.Steps, depth+1); err != nil {
		return err
	}
	if w.step = repeat; len(w.variants) != before {
		return w.cannot("the endpoints change in it, and with them the rules")
	}
	w.line(depth, "done")
	return nil
}

func (s *removeEndpointsStep) script(w *scriptWriter, depth int) error {
	switch s.Which {
	case "all":
		w.line(depth, "endpoints=")
		w.line(depth, "install_rules")
		w.change(func(e endpointState) []endpointState { return []endpointState{{nil, e.alive}} })
		return nil
	case "serving":
		w.line(depth, `remove_endpoint "$(serving)"`)
	default:
		w.line(depth, "remove_endpoint %s", s.Which)
	}
	w.change(func(e endpointState) (out []endpointState) {
		for _, i := range w.anyOf(s.Which) {
			out = append(out, endpointState{leaving(e.endpoints, i), e.alive})
		}
		return out
	})
	return nil
}

func (*addEndpointsStep) script(w *scriptWriter, depth int) error {
	w.line(depth, "endpoints=$pods")
	w.line(depth, "install_rules")
	w.change(func(e endpointState) []endpointState { return []endpointState{{e.alive, e.alive}} })
	return nil
}

func (*stopServerStep) script(w *scriptWriter, depth int) error {
	if w.scenario.protocol() == probe.UDP {
		w.line(depth, `for pod in $pods; do kill "${pids[$pod]}"; done`)
		return nil
	}
	w.line(depth, "for pod in $pods; do tell \"$pod\" /stop; done")
	return nil
}

func (s *killPodStep) script(w *scriptWriter, depth int) error {
	if s.Pod == "serving" {
		w.line(depth, `kill_pod "$(serving)"`)
	} else {
		w.line(depth, "kill_pod %s", s.Pod)
	}
	w.change(func(e endpointState) (out []endpointState) {
		for _, i := range w.anyOf(s.Pod) {
			out = append(out, endpointState{e.endpoints, leaving(e.alive, i)})
		}
		return out
	})
	return nil
}

func (s *takeAddressStep) script(w *scriptWriter, depth int) error {
	i := w.scenario.serverNumber(s.Of)
	for _, n := range w.scenario.topology().Nodes {
		if n.Name == w.scenario.serverNode(i) {
			w.line(depth, "pod %s %s %s %s", stranger, netip.PrefixFrom(w.scenario.serverAddress(i), n.PodCIDR.Bits()), n.Name, n.Gateway())
		}
	}
	if sysctls := w.scenario.keepaliveSysctls(); len(sysctls) > 0 {
		words := []string{stranger}
		for _, s := range sysctls {
			words = append(words, s.Key+"="+s.Value)
		}
		w.line(depth, "set_sysctls %s", shellWords(words))
	}
	w.line(depth, "links_up")
	w.line(depth, "serve %s", stranger)
	return nil
}

func (s *injectStep) script(w *scriptWriter, depth int) error {
	w.line(depth, "server_does %s", ShellQuote(fmt.Sprintf("/stray %d %s", s.Offset, s.Flag)))
	return nil
}
