package result

import (
	"maps"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario"
)

const multi = "flush-multi-backend"

// rows has one row for each field of Expect and of what it holds.
func rows() map[string]row {
	out := map[string]row{}
	for _, part := range []map[string]row{applicationRows(), listRows(), eventRows(), packetRows(), stateRows(), execRows(), connectionRows()} {
		maps.Copy(out, part)
	}
	return out
}

func applicationRows() map[string]row {
	reset := func(change func(*scenario.Expect)) scenario.Expect {
		x := scenario.Expect{Outcome: account.Reset}
		change(&x)
		return x
	}
	errno := func(s string) scenario.Expect { return reset(func(x *scenario.Expect) { x.Errno = s }) }
	noticed := func(s string) scenario.Expect { return reset(func(x *scenario.Expect) { x.NoticedBy = s }) }
	send := func(n int) scenario.Expect { return reset(func(x *scenario.Expect) { x.FailedSend = n }) }
	rerouted := func(b bool) scenario.Expect { return reset(func(x *scenario.Expect) { x.Rerouted = &b }) }
	breaks := func(n int) scenario.Expect { return reset(func(x *scenario.Expect) { x.Breaks = n }) }
	lost := func(n int) scenario.Expect { return reset(func(x *scenario.Expect) { x.Lost = &n }) }
	answers := func(n int) scenario.Expect { return scenario.Expect{Outcome: account.Reset, Unanswered: &n} }
	outcome := func(o account.Outcome) scenario.Expect { return scenario.Expect{Outcome: o} }
	return map[string]row{
		"Expect.outcome":         {multi, outcome(account.Reset), variants(outcome, account.Survived, account.Closed, account.Hang, account.Refused, account.Timeout, account.WrongBackend, ""), withoutErrors},
		"Expect.errno":           {multi, errno("ECONNRESET"), variants(errno, "EPIPE", "ETIMEDOUT"), withoutErrors},
		"Expect.noticed_by":      {multi, noticed("client"), variants(noticed, "server"), withoutErrors},
		"Expect.failed_send":     {multi, send(2), variants(send, 1, 3), withoutErrors},
		"Expect.rerouted":        {multi, rerouted(true), variants(rerouted, false), withoutEvents(conntrack.New, "ESTABLISHED")},
		"Expect.breaks_at_least": {multi, breaks(1), variants(breaks, 1000), withoutEvents(conntrack.Destroy, "")},
		"Expect.lost_messages":   {multi, lost(1), variants(lost, 0, 2), withoutArrivals},
		"Expect.lost_answers":    {"server-speaks-first", answers(1), variants(answers, 0, 2), withoutServerSends},
		"Expect.peer":            {multi, reset(func(x *scenario.Expect) { x.Peer = account.HalfOpen }), nil, withoutFinals},
	}
}

func listRows() map[string]row {
	sequence := func(ps ...scenario.EventPattern) scenario.Expect {
		return scenario.Expect{Outcome: account.Reset, Events: []scenario.EventsCheck{{Sequence: ps}}}
	}
	never := func(p scenario.EventPattern) scenario.Expect {
		return scenario.Expect{Outcome: account.Reset, Events: []scenario.EventsCheck{{Never: []scenario.EventPattern{p}}}}
	}
	on := func(node string) scenario.Expect {
		return scenario.Expect{Outcome: account.Reset, Events: []scenario.EventsCheck{{On: node, Sequence: []scenario.EventPattern{{Type: "NEW", Backend: "other"}}}}}
	}
	made, destroyed := scenario.EventPattern{Type: "NEW"}, scenario.EventPattern{Type: "DESTROY", By: "rst"}
	alternative := func(o account.Outcome) scenario.Expect {
		return scenario.Expect{Outcome: account.Refused, Alternatives: []scenario.Alternative{{Reason: "for the test", Expect: scenario.Expect{Outcome: o}}}}
	}
	return map[string]row{
		"Expect.events":  {multi, sequence(made), variants(pattern, scenario.EventPattern{Type: "NEW", State: "CLOSE"}), withoutEvents(conntrack.New, "")},
		"Expect.packets": {multi, packetSeen(scenario.PacketCheck{Flag: "RST"}), variants(packetSeen, scenario.PacketCheck{Flag: "FIN"}), withoutRST},
		"Expect.rules": {"loose-off", ruleMet(scenario.RuleCheck{Rule: "INVALID", Moved: new(true)}),
			variants(ruleMet, scenario.RuleCheck{Rule: "INVALID", Moved: new(false)}), withoutRules},
		"Expect.sockets": {multi, socketIs(scenario.SocketCheck{Side: "client", State: "CLOSE"}),
			variants(socketIs, scenario.SocketCheck{Side: "client", State: "ESTABLISHED"}), withoutFinals},
		"Expect.connections":  {"scale-to-zero", one(scenario.ConnectionCheck{ID: 2, Outcome: account.Refused}), []scenario.Expect{{Outcome: account.Hang}}, withoutErrors},
		"Expect.alternatives": {multi, alternative(account.Reset), variants(alternative, account.Survived, account.Hang), withoutErrors},
		"Alternative.expect":  {multi, alternative(account.Reset), variants(alternative, account.Survived, account.Hang), withoutErrors},
		"EventsCheck.on":      {multi, on("master"), nil, withoutNode("master")},
		"EventsCheck.sequence": {multi, sequence(made, destroyed), []scenario.Expect{sequence(destroyed, made), sequence(destroyed, destroyed)},
			withoutEvents(conntrack.Destroy, "CLOSE")},
		"EventsCheck.never": {multi, never(scenario.EventPattern{Type: "DESTROY", By: "expiry"}), variants(never, made, destroyed), nil},
	}
}

func eventRows() map[string]row {
	fresh := scenario.EventPattern{Type: "NEW", State: "ESTABLISHED"}
	change := func(p scenario.EventPattern, f func(*scenario.EventPattern)) scenario.EventPattern { f(&p); return p }
	by := func(who string) scenario.EventPattern {
		return scenario.EventPattern{Type: "DESTROY", State: "CLOSE", By: who}
	}
	to := func(which string) scenario.EventPattern {
		return scenario.EventPattern{Type: "NEW", State: "SYN_SENT", Backend: which}
	}
	unreplied := func(b bool) scenario.EventPattern {
		return change(fresh, func(p *scenario.EventPattern) { p.Unreplied = &b })
	}
	assured := func(b bool) scenario.EventPattern {
		return scenario.EventPattern{Type: "UPDATE", State: "ESTABLISHED", Assured: &b}
	}
	return map[string]row{
		"EventPattern.type": {multi, pattern(fresh), variants(pattern,
			scenario.EventPattern{Type: "UPDATE", State: "SYN_SENT"}, scenario.EventPattern{Type: "DESTROY", State: "SYN_RECV"}), withoutEvents(conntrack.New, "")},
		"EventPattern.state": {multi, pattern(fresh), variants(pattern,
			scenario.EventPattern{Type: "NEW", State: "TIME_WAIT"}), withoutEvents(conntrack.New, "ESTABLISHED")},
		"EventPattern.assured":   {multi, pattern(assured(true)), variants(pattern, assured(false)), withoutEvents(conntrack.Update, "ESTABLISHED")},
		"EventPattern.unreplied": {multi, pattern(unreplied(true)), variants(pattern, unreplied(false)), withoutEvents(conntrack.New, "ESTABLISHED")},
		"EventPattern.by":        {multi, pattern(by("rst")), variants(pattern, by("caller"), by("expiry"), by("kernel")), withoutEvents(conntrack.Destroy, "CLOSE")},
		"EventPattern.backend":   {multi, pattern(to("first")), variants(pattern, to("other")), withoutEvents(conntrack.New, "")},
	}
}

func packetRows() map[string]row {
	at := func(where string) scenario.Expect {
		return packetSeen(scenario.PacketCheck{At: where, Flag: "RST", From: "service"})
	}
	flag := func(flag string) scenario.Expect {
		return packetSeen(scenario.PacketCheck{Flag: flag, From: "service"})
	}
	from := func(who string) scenario.Expect {
		return packetSeen(scenario.PacketCheck{At: "client", Flag: "RST", From: who})
	}
	sent := func(who string) scenario.Expect {
		return packetSeen(scenario.PacketCheck{At: "servers", Flag: "RST", From: who})
	}
	never := func(flag string) scenario.Expect { return packetSeen(scenario.PacketCheck{Flag: flag, Never: true}) }
	return map[string]row{
		"PacketCheck.at":   {multi, at("client"), variants(at, "servers", "node1"), withoutRST},
		"PacketCheck.flag": {multi, flag("RST"), variants(flag, "FIN", "keepalive", "retransmission"), withoutRST},
		"PacketCheck.from": {multi, from("service"), append(variants(from, "client", "first-backend", "other-backend"),
			variants(sent, "service", "client", "first-backend")...), withoutRST},
		"PacketCheck.never": {multi, never("FIN"), variants(never, "RST", "SYN"), nil},
	}
}

// stateRows are those of what is read at the end: counters and sockets.
func stateRows() map[string]row {
	rule := func(change func(*scenario.RuleCheck)) scenario.Expect {
		r := scenario.RuleCheck{On: scenario.NodeMaster, Rule: "--ctstate INVALID -j DROP", Moved: new(true)}
		change(&r)
		return ruleMet(r)
	}
	right := rule(func(*scenario.RuleCheck) {})
	socket := func(side, state string) scenario.Expect {
		return socketIs(scenario.SocketCheck{Side: side, State: state})
	}
	return map[string]row{
		"RuleCheck.on":     {"loose-off", right, []scenario.Expect{rule(func(r *scenario.RuleCheck) { r.On = "node1" })}, withoutRules},
		"RuleCheck.rule":   {"loose-off", right, []scenario.Expect{rule(func(r *scenario.RuleCheck) { r.Rule = "-j NO-SUCH-RULE" })}, withoutRules},
		"RuleCheck.moved":  {"loose-off", right, []scenario.Expect{rule(func(r *scenario.RuleCheck) { r.Moved = new(false) })}, withoutRules},
		"SocketCheck.side": {multi, socket("server", "ESTABLISHED"), []scenario.Expect{socket("client", "ESTABLISHED")}, withoutFinals},
		"SocketCheck.timer": {multi, socketIs(scenario.SocketCheck{Side: "server", State: "ESTABLISHED", Timer: "off"}),
			[]scenario.Expect{socketIs(scenario.SocketCheck{Side: "server", State: "ESTABLISHED", Timer: "keepalive"})}, withoutFinals},
		"SocketCheck.state": {multi, socket("server", "ESTABLISHED"), []scenario.Expect{socket("server", "LAST_ACK")}, withoutFinals},
	}
}

// execRows are those of commands that steps run.
func execRows() map[string]row {
	exec := func(c scenario.ExecCheck) scenario.Expect {
		return scenario.Expect{Outcome: account.Reset, Exec: []scenario.ExecCheck{c}}
	}
	code := func(n int) scenario.ExecCheck { return scenario.ExecCheck{Number: 1, Exit: &n} }
	output := func(text string) scenario.ExecCheck {
		return scenario.ExecCheck{Name: "look", Exit: new(3), Output: text}
	}
	named := func(name string) scenario.ExecCheck { return scenario.ExecCheck{Name: name, Exit: new(3)} }
	return map[string]row{
		"Expect.exec":      {withCommand, exec(code(3)), []scenario.Expect{{Outcome: account.Reset}}, nil},
		"ExecCheck.name":   {withCommand, exec(named("look")), variants(exec, named("other")), nil},
		"ExecCheck.number": {withCommand, exec(code(3)), variants(exec, scenario.ExecCheck{Number: 2, Exit: new(3)}), nil},
		"ExecCheck.exit":   {withCommand, exec(code(3)), variants(exec, code(0), code(1)), nil},
		"ExecCheck.output": {withCommand, exec(output("found: nothing")), variants(exec, output("found: all")), nil},
	}
}

// connectionRows are those of what is counted or said of one of several connections.
func connectionRows() map[string]row {
	right := scenario.ConnectionCheck{ID: 2, Outcome: account.Refused, Errno: "ECONNREFUSED", NoticedBy: "client"}
	change := func(f func(*scenario.ConnectionCheck)) []scenario.Expect {
		c := right
		f(&c)
		return []scenario.Expect{one(c)}
	}
	share := func(of account.Outcome, p string) scenario.Expect {
		return shareIs(scenario.ShareCheck{Of: of, Probability: p})
	}
	const two = "scale-to-zero"
	return map[string]row{
		"ConnectionCheck.id":         {two, one(right), change(func(c *scenario.ConnectionCheck) { c.ID = 3 }), withoutErrors},
		"ConnectionCheck.outcome":    {two, one(right), change(func(c *scenario.ConnectionCheck) { c.Outcome = account.Reset }), withoutErrors},
		"ConnectionCheck.errno":      {two, one(right), change(func(c *scenario.ConnectionCheck) { c.Errno = "EPIPE" }), withoutErrors},
		"ConnectionCheck.noticed_by": {two, one(right), change(func(c *scenario.ConnectionCheck) { c.NoticedBy = "server" }), withoutErrors},
		"Expect.share":               {multi, share(account.Reset, "1"), variants(shareIs, scenario.ShareCheck{Of: account.Reset, Probability: "0"}), withoutErrors},
		"ShareCheck.of":              {multi, share(account.Reset, "1"), []scenario.Expect{share(account.Hang, "1"), share(account.Survived, "1")}, withoutErrors},
		"ShareCheck.probability":     {multi, share(account.Reset, "1"), []scenario.Expect{share(account.Reset, "0")}, withoutErrors},
	}
}
