package byhand

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ctsim/ctsim/scenario"
)

// What is done to conntrack entries is told once, of operands: at a prompt they are values, in a script its variables.
// The lines that stand in the script's own functions are held to these by a test.

func flushAct(s *scenario.Flush) act {
	return act{at: s.On, line: "conntrack -F", script: calls("flush")}
}

// deleteEntry is of a connection's source; an address in from narrows it down.
func deleteEntry(s *scenario.DeleteEntry, protocol, from, port string) act {
	a := act{at: s.On, line: fmt.Sprintf("conntrack -D -p %s%s --orig-port-src %s", protocol, from, port)}
	a.script = func(place string) string { return "ip netns exec " + place + " " + a.line + " >/dev/null 2>&1 || true" }
	return a
}

// deleteEntryCommands names the client's address: in a cluster there are others with this port. A connection that is not
// open has no port to name.
func deleteEntryCommands(s *scenario.DeleteEntry, m Moment) []Command {
	port, open := m.Ports[s.Connection]
	if !open {
		return nil
	}
	return m.commands(deleteEntry(s, m.protocol(), " -s "+m.Plan.Client.Address.String(), strconv.Itoa(int(port))))
}

func scriptDeleteEntry(s *scenario.DeleteEntry, w *scriptWriter) error {
	if s.On != w.plan.Translates && w.plan.Proxy.MasqueradeAll {
		return w.cannot("behind the masquerading node the connection has another port")
	}
	w.act(deleteEntry(s, `"$protocol"`, "", fmt.Sprintf(`"$(client_port %d)"`, s.Connection)))
	return nil
}

// deleteStale is of the entries that lead to one pod.
func deleteStale(protocol, service, pod string) string {
	return fmt.Sprintf("conntrack -D -p %s --orig-dst %s --reply-src %s", protocol, service, pod)
}

func deleteStaleCommands(_ *scenario.DeleteStale, m Moment) []Command {
	var out []Command
	for _, server := range m.Plan.Servers {
		address := server.Address
		if slices.ContainsFunc(m.Endpoints, func(e netip.AddrPort) bool { return e.Addr() == address }) {
			continue
		}
		line := deleteStale(m.protocol(), m.Plan.Target.Addr().String(), address.String())
		out = append(out, m.commands(act{at: "all", line: line})...)
	}
	return out
}

// scriptDeleteStale leaves it to a function: which pods are endpoints is known only when the script runs.
func scriptDeleteStale(_ *scenario.DeleteStale, w *scriptWriter) error {
	w.line("delete_stale")
	return nil
}

// setLeft gives one entry so many seconds. `conntrack -U` takes a time of 0 for none given: 1 is the least, and has to be
// waited for.
func setLeft(protocol, source, target, sport, dport, left string) string {
	return fmt.Sprintf("conntrack -U -p %s -s %s -d %s --orig-port-src %s --orig-port-dst %s -t %s",
		protocol, source, target, sport, dport, left)
}

// ageCommands are for the entries that are there.
func ageCommands(a *scenario.Age, m Moment) []Command {
	var out []Command
	expires := false
	for _, node := range m.Plan.NodeNames() {
		for _, e := range m.Entries[node] {
			left := max(time.Second, e.Left-a.By) / time.Second
			out = append(out, Command{At: node, Line: setLeft(m.protocol(), e.Src.Addr().String(), e.Dst.Addr().String(),
				strconv.Itoa(int(e.Src.Port())), strconv.Itoa(int(e.Dst.Port())), strconv.Itoa(int(left)))})
			expires = expires || e.Left <= a.By
		}
	}
	if expires {
		out = append(out, Command{At: m.Plan.Translates, Line: "sleep 2"})
	}
	if d := m.Plan.Service.Affinity; d > 0 && a.By >= d { // less than all of it cannot be made to pass
		for _, node := range m.Plan.NodeNames() {
			out = append(out, Command{At: node, Line: "sh -c " + ShellQuote(forgetAffinities)})
		}
	}
	return out
}

// forgetAffinities empties the lists of xt_recent, in which a node remembers where a client went.
const forgetAffinities = "for list in /proc/net/xt_recent/KUBE-SEP-*; do echo / >$list; done"

// scriptAge leaves it to a function: which entries there are is known only when the script runs, and it waits until what
// has expired is gone.
func scriptAge(a *scenario.Age, w *scriptWriter) error {
	w.act(act{at: "all", script: calls("age", strconv.Itoa(int(a.By/time.Second)))})
	if d := w.plan.Service.Affinity; d > a.By {
		return w.cannot("a node remembers for %s where a client went, and %s of it cannot be made to pass", d, a.By)
	} else if d > 0 {
		line := forgetAffinities
		w.act(act{at: "all", script: func(place string) string {
			return "ip netns exec " + place + " sh -c " + ShellQuote(line)
		}})
	}
	return nil
}
