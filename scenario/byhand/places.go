package byhand

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctsim/ctsim/scenario"
)

// sysctlAct takes the function that sets a place's sysctls when the world is built.
func sysctlAct(s *scenario.SetSysctl) act {
	setting := ShellQuote(s.Key + "=" + s.Value)
	return act{at: s.In, line: "sysctl -w " + setting, script: calls("set_sysctls", setting)}
}

// execCommands is the command as it is.
func execCommands(s *scenario.Exec, m Moment) []Command {
	return m.commands(act{at: s.In, line: shellWords(s.Command)})
}

// scriptExec gives the command a deadline, for nobody watches, and has its end compared with what is expected of it.
func scriptExec(s *scenario.Exec, w *scriptWriter) error {
	checks := slices.Clone(w.plan.Expect.Exec)
	number := 1 + slices.Index(w.plan.Execs(), s)
	checks = slices.DeleteFunc(checks, func(c scenario.ExecCheck) bool { return c.Number != number })
	line := fmt.Sprintf("command_in %s %s %s", s.In, seconds(s.Timeout), shellWords(s.Command))
	switch {
	case len(checks) == 0:
		w.line("%s", line) // it may fail, and be missing
		return nil
	case !s.MayFail:
		w.line("needs %s", ShellQuote(s.Command[0]))
	}
	w.line("%s", line)
	for _, c := range checks {
		exit := "any"
		if c.Exit != nil {
			if signal := *c.Exit - 128; signal > 0 && signal <= 64 {
				return w.cannot("a shell does not tell the exit code %d from the end by signal %d", *c.Exit, signal)
			}
			exit = strconv.Itoa(*c.Exit)
		}
		w.line("ended %s %s", exit, ShellQuote(c.Output))
	}
	return nil
}

// seconds is a duration as sleep and timeout take it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// waitCommands are how a person sees that the wait is over; a script finds out by itself, and gives up after a time.
func waitCommands(s *scenario.Wait, m Moment) []Command {
	at := m.Plan.Client.At
	switch {
	case s.Packet != nil:
		place := s.Packet.At
		if place == "" || place == "client" {
			place = at
		}
		if place == "servers" {
			return nil
		}
		return []Command{{At: place, Line: fmt.Sprintf("tcpdump -nn -i eth0 %s port %d", m.protocol(), m.Plan.Service.Port)}}
	case s.Until == "entry-gone":
		var out []Command
		for _, id := range m.Connections {
			if p := m.Ports[id]; p != 0 {
				out = append(out, Command{At: m.Plan.Translates, Line: fmt.Sprintf("conntrack -L -p %s --orig-port-src %d", m.protocol(), p)})
			}
		}
		return out
	case s.Until == "client-closed":
		return []Command{{At: at, Line: fmt.Sprintf("ss -tno 'dport = :%d'", m.Plan.Target.Port())}}
	case s.Until == "server-closed" && m.Serving != "":
		return []Command{{At: m.Serving, Line: fmt.Sprintf("ss -tno 'sport = :%d'", m.Plan.Service.Port)}}
	case s.For > 0:
		return []Command{{At: at, Line: "sleep " + seconds(s.For)}}
	}
	return nil
}

func scriptWait(s *scenario.Wait, w *scriptWriter) error {
	limit := int((s.AtMost + time.Second - 1) / time.Second)
	switch {
	case s.Packet != nil:
		return scriptPacket(s.Packet, w, limit)
	case s.Until == "entry-gone":
		if w.next != 2 {
			return w.cannot("with several connections the script does not know which entry is meant")
		}
		w.line(`expired "$(client_port 1)" %d`, limit)
	case s.Until == "client-closed":
		w.act(act{into: "client", line: "/wait " + s.AtMost.String()})
	case s.Until == "server-closed":
		w.line("server_closed %d %d", w.next-1, limit)
	default:
		w.line("sleep %s%s", seconds(s.For), w.scaled())
	}
	return nil
}

// scaled is a comment that gives the step's duration as the scenario has it, if time_scale makes it another.
func (w *scriptWriter) scaled() string {
	if w.step.Here == "" {
		return ""
	}
	return fmt.Sprintf(" # %s, divided by %d", strings.TrimPrefix(w.step.Text, "wait "), w.plan.TimeScale)
}

// scriptPacket waits by the client's own counters: the only packets that a kernel counts and a run waits for.
func scriptPacket(p *scenario.PacketCheck, w *scriptWriter, limit int) error {
	counter := map[string]string{"keepalive": "TcpExtTCPKeepAlive", "retransmission": "TcpRetransSegs"}[p.Flag]
	if counter == "" || p.From != "client" && p.From != "" || p.At != "client" {
		return w.cannot("no counter of the kernel tells of it: %s", p.Describe())
	}
	w.line(`counted "$client" %s "$(counter "$client" %s)" %d %d`, counter, counter, w.next-1, limit)
	return nil
}

// scriptRepeat is a loop; at the prompt each of its steps comes by itself.
func scriptRepeat(s *scenario.Repeat, w *scriptWriter) error {
	rounds := strings.Repeat("r", w.depth+1) + "ounds"
	if s.Until == "" {
		w.line("for %s in $(seq %d); do", strings.TrimSuffix(rounds, "s"), s.Times)
	} else {
		if w.next != 2 {
			return w.cannot("with several connections, those that are re-routed would have to be left out one by one")
		}
		w.line("%s=0", rounds)
		w.line(`until rerouted "$(client_port 1)"; do`)
		w.line("\t%s=$((%s + 1))", rounds, rounds)
		w.line("\t"+`[ "$%s" -le %d ] || inconclusive "not re-routed in %d rounds"`, rounds, s.AtMost, s.AtMost)
	}
	repeat := w.step
	before := len(w.variants)
	w.depth++
	err := w.steps(s.Steps)
	w.depth--
	if err != nil {
		return err
	}
	if w.step = repeat; len(w.variants) != before {
		return w.cannot("the endpoints change in it, and with them the rules")
	}
	w.line("done")
	return nil
}
