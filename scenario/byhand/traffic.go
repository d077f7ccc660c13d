package byhand

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// connectCommands has a person start a client; the script's function of that name has the client wait for what it is
// told, and the script knows the client's connections by number.
func connectCommands(c *scenario.Connect, m Moment) []Command {
	words := []string{"ctsim", "client", m.Plan.Target.String()}
	if m.Plan.UDP() {
		words = append(words, "--udp")
	}
	words = append(words, flags(m.Plan.Client.Socket)...)
	if c.Port != 0 {
		words = append(words, "--bind", netip.AddrPortFrom(m.Plan.Client.Address, uint16(c.Port)).String())
	}
	if n := m.Plan.Connections; !c.More && n > 1 {
		words = append(words, "--connections", fmt.Sprint(n))
	}
	return []Command{{At: m.Plan.Client.At, Line: shellWords(words)}}
}

func scriptConnect(c *scenario.Connect, w *scriptWriter) error {
	n := 1
	if !c.More {
		if w.next > 1 {
			return nil // all are open
		}
		n = w.plan.Connections
	}
	if w.depth > 0 {
		return w.cannot("in a repeat it would open connections without number")
	}
	from := w.plan.Client.Address.String()
	if c.Port != 0 {
		from = netip.AddrPortFrom(w.plan.Client.Address, uint16(c.Port)).String()
	}
	line := fmt.Sprintf("connect %d %d %s", w.next, n, from)
	if n > 1 {
		line += fmt.Sprintf(" --connections %d", n)
	}
	if c.Timeout != scenario.ConnectTimeout { // ctsim client has the same by itself
		line += " --timeout " + c.Timeout.String()
	}
	w.line("%s", line)
	w.clients = append(w.clients, w.next)
	w.next += n
	return nil
}

func sendCommands(s *scenario.Send, m Moment) []Command {
	return m.commands(act{into: s.From, line: "a line of text"})
}

// scriptSend numbers the messages and waits for what becomes of each: the outcomes are read off both ends' logs.
func scriptSend(s *scenario.Send, w *scriptWriter) error {
	if s.From == "server" {
		if w.next > 2 && s.Connection != 0 {
			return w.cannot("a server does not know its connections' numbers")
		}
		if w.plan.UDP() {
			return w.cannot("a UDP server only answers")
		}
		w.line("message")
		w.line("server_sends")
		return nil
	}
	w.line("message")
	if s.Connection == 0 {
		for _, c := range w.clients {
			w.line("%s", w.send(c))
		}
		return nil
	}
	for i, c := range w.clients {
		if c == s.Connection && w.size(i) == 1 {
			w.line("%s", w.send(c))
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

func receiveAct(s *scenario.Receive) act {
	return act{into: "client", line: "/receive " + s.AtMost.String()}
}
func shutdownAct(s *scenario.Shutdown) act { return act{into: s.From, line: "/shutdown"} }
func closeAct(s *scenario.Close) act       { return act{into: s.From, line: "/close"} }

func injectAct(s *scenario.Inject) act {
	return act{into: "server", line: fmt.Sprintf("/stray %d %s", s.Offset, s.Flag)}
}

// What follows is for programs that ctsim has not written: nobody knows how to tell one in a script what to do.

func startClientCommands(_ *scenario.StartClient, m Moment) []Command {
	return []Command{{At: m.Plan.Client.At, Line: "sh -c " + ShellQuote(m.Plan.Client.Program.Command)}}
}

func inputCommands(s *scenario.Input, m Moment) []Command { return m.program(s.Line) }

func useCommands(s *scenario.Use, m Moment) []Command {
	if s.Input == "" {
		return nil
	}
	return m.program(s.Input)
}

// program is a line typed into the client's own program.
func (m Moment) program(line string) []Command {
	return []Command{{At: m.Plan.Client.At, Line: strings.TrimRight(line, "\n"), Into: "the client's program"}}
}
