package scenario

import (
	"maps"

	"github.com/ctsim/ctsim/probe/conntrack"
)

const multi = "flush-multi-backend"

// rows has one row for each field of Expect and of what it holds.
func rows() map[string]row {
	out := map[string]row{}
	for _, part := range []map[string]row{applicationRows(), listRows(), eventRows(), packetRows(), stateRows(), connectionRows()} {
		maps.Copy(out, part)
	}
	return out
}

func applicationRows() map[string]row {
	reset := func(change func(*Expect)) Expect {
		x := Expect{Outcome: Reset}
		change(&x)
		return x
	}
	errno := func(s string) Expect { return reset(func(x *Expect) { x.Errno = s }) }
	noticed := func(s string) Expect { return reset(func(x *Expect) { x.NoticedBy = s }) }
	send := func(n int) Expect { return reset(func(x *Expect) { x.FailedSend = n }) }
	rerouted := func(b bool) Expect { return reset(func(x *Expect) { x.Rerouted = &b }) }
	breaks := func(n int) Expect { return reset(func(x *Expect) { x.Breaks = n }) }
	lost := func(n int) Expect { return reset(func(x *Expect) { x.Lost = &n }) }
	outcome := func(o Outcome) Expect { return Expect{Outcome: o} }
	return map[string]row{
		"Expect.outcome":         {multi, outcome(Reset), variants(outcome, Survived, Hang, Refused, Timeout, WrongBackend, ""), withoutErrors},
		"Expect.errno":           {multi, errno("ECONNRESET"), variants(errno, "EPIPE", "ETIMEDOUT"), withoutErrors},
		"Expect.noticed_by":      {multi, noticed("client"), variants(noticed, "server"), withoutErrors},
		"Expect.failed_send":     {multi, send(2), variants(send, 1, 3), withoutErrors},
		"Expect.rerouted":        {multi, rerouted(true), variants(rerouted, false), withoutEvents(conntrack.New, "ESTABLISHED")},
		"Expect.breaks_at_least": {multi, breaks(1), variants(breaks, 1000), withoutEvents(conntrack.Destroy, "")},
		"Expect.lost_messages":   {multi, lost(1), variants(lost, 0, 2), withoutArrivals},
		"Expect.peer":            {multi, reset(func(x *Expect) { x.Peer = HalfOpen }), nil, withoutFinals},
	}
}

func listRows() map[string]row {
	sequence := func(ps ...EventPattern) Expect {
		return Expect{Outcome: Reset, Events: []EventsCheck{{Sequence: ps}}}
	}
	never := func(p EventPattern) Expect {
		return Expect{Outcome: Reset, Events: []EventsCheck{{Never: []EventPattern{p}}}}
	}
	on := func(node string) Expect {
		return Expect{Outcome: Reset, Events: []EventsCheck{{On: node, Sequence: []EventPattern{{Type: "NEW", Backend: "other"}}}}}
	}
	made, destroyed := EventPattern{Type: "NEW"}, EventPattern{Type: "DESTROY", By: "rst"}
	alternative := func(o Outcome) Expect {
		return Expect{Outcome: Refused, Alternatives: []Alternative{{Reason: "for the test", Expect: Expect{Outcome: o}}}}
	}
	return map[string]row{
		"Expect.events":  {multi, sequence(made), variants(pattern, EventPattern{Type: "NEW", State: "CLOSE"}), withoutEvents(conntrack.New, "")},
		"Expect.packets": {multi, packetSeen(PacketCheck{Flag: "RST"}), variants(packetSeen, PacketCheck{Flag: "FIN"}), withoutRST},
		"Expect.rules": {"loose-off", ruleMet(RuleCheck{Rule: "INVALID", Moved: new(true)}),
			variants(ruleMet, RuleCheck{Rule: "INVALID", Moved: new(false)}), withoutRules},
		"Expect.sockets": {multi, socketIs(SocketCheck{Side: "client", State: "CLOSE"}),
			variants(socketIs, SocketCheck{Side: "client", State: "ESTABLISHED"}), withoutFinals},
		"Expect.connections":  {"scale-to-zero", one(ConnectionCheck{ID: 2, Outcome: Refused}), []Expect{{Outcome: Hang}}, withoutErrors},
		"Expect.alternatives": {multi, alternative(Reset), variants(alternative, Survived, Hang), withoutErrors},
		"Alternative.expect":  {multi, alternative(Reset), variants(alternative, Survived, Hang), withoutErrors},
		"EventsCheck.on":      {multi, on("master"), nil, withoutNode("master")},
		"EventsCheck.sequence": {multi, sequence(made, destroyed), []Expect{sequence(destroyed, made), sequence(destroyed, destroyed)},
			withoutEvents(conntrack.Destroy, "CLOSE")},
		"EventsCheck.never": {multi, never(EventPattern{Type: "DESTROY", By: "expiry"}), variants(never, made, destroyed), nil},
	}
}

func eventRows() map[string]row {
	fresh := EventPattern{Type: "NEW", State: "ESTABLISHED"}
	change := func(p EventPattern, f func(*EventPattern)) EventPattern { f(&p); return p }
	by := func(who string) EventPattern { return EventPattern{Type: "DESTROY", State: "CLOSE", By: who} }
	to := func(which string) EventPattern {
		return EventPattern{Type: "NEW", State: "SYN_SENT", Backend: which}
	}
	unreplied := func(b bool) EventPattern { return change(fresh, func(p *EventPattern) { p.Unreplied = &b }) }
	assured := func(b bool) EventPattern {
		return EventPattern{Type: "UPDATE", State: "ESTABLISHED", Assured: &b}
	}
	return map[string]row{
		"EventPattern.type": {multi, pattern(fresh), variants(pattern,
			EventPattern{Type: "UPDATE", State: "SYN_SENT"}, EventPattern{Type: "DESTROY", State: "SYN_RECV"}), withoutEvents(conntrack.New, "")},
		"EventPattern.state": {multi, pattern(fresh), variants(pattern,
			EventPattern{Type: "NEW", State: "TIME_WAIT"}), withoutEvents(conntrack.New, "ESTABLISHED")},
		"EventPattern.assured":   {multi, pattern(assured(true)), variants(pattern, assured(false)), withoutEvents(conntrack.Update, "ESTABLISHED")},
		"EventPattern.unreplied": {multi, pattern(unreplied(true)), variants(pattern, unreplied(false)), withoutEvents(conntrack.New, "ESTABLISHED")},
		"EventPattern.by":        {multi, pattern(by("rst")), variants(pattern, by("caller"), by("expiry"), by("kernel")), withoutEvents(conntrack.Destroy, "CLOSE")},
		"EventPattern.backend":   {multi, pattern(to("first")), variants(pattern, to("other")), withoutEvents(conntrack.New, "")},
	}
}

func packetRows() map[string]row {
	at := func(where string) Expect { return packetSeen(PacketCheck{At: where, Flag: "RST", From: "service"}) }
	flag := func(flag string) Expect { return packetSeen(PacketCheck{Flag: flag, From: "service"}) }
	from := func(who string) Expect { return packetSeen(PacketCheck{At: "client", Flag: "RST", From: who}) }
	sent := func(who string) Expect { return packetSeen(PacketCheck{At: "servers", Flag: "RST", From: who}) }
	never := func(flag string) Expect { return packetSeen(PacketCheck{Flag: flag, Never: true}) }
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
	rule := func(change func(*RuleCheck)) Expect {
		r := RuleCheck{On: nodeMaster, Rule: "--ctstate INVALID -j DROP", Moved: new(true)}
		change(&r)
		return ruleMet(r)
	}
	right := rule(func(*RuleCheck) {})
	socket := func(side, state string) Expect { return socketIs(SocketCheck{Side: side, State: state}) }
	return map[string]row{
		"RuleCheck.on":     {"loose-off", right, []Expect{rule(func(r *RuleCheck) { r.On = "node1" })}, withoutRules},
		"RuleCheck.rule":   {"loose-off", right, []Expect{rule(func(r *RuleCheck) { r.Rule = "-j NO-SUCH-RULE" })}, withoutRules},
		"RuleCheck.moved":  {"loose-off", right, []Expect{rule(func(r *RuleCheck) { r.Moved = new(false) })}, withoutRules},
		"SocketCheck.side": {multi, socket("server", "ESTABLISHED"), []Expect{socket("client", "ESTABLISHED")}, withoutFinals},
		"SocketCheck.timer": {multi, socketIs(SocketCheck{Side: "server", State: "ESTABLISHED", Timer: "off"}),
			[]Expect{socketIs(SocketCheck{Side: "server", State: "ESTABLISHED", Timer: "keepalive"})}, withoutFinals},
		"SocketCheck.state": {multi, socket("server", "ESTABLISHED"), []Expect{socket("server", "LAST_ACK")}, withoutFinals},
	}
}

// connectionRows are those of what is counted or said of one of several connections.
func connectionRows() map[string]row {
	right := ConnectionCheck{ID: 2, Outcome: Refused, Errno: "ECONNREFUSED", NoticedBy: "client"}
	change := func(f func(*ConnectionCheck)) []Expect { c := right; f(&c); return []Expect{one(c)} }
	share := func(of Outcome, p string) Expect { return shareIs(ShareCheck{Of: of, Probability: p}) }
	const two = "scale-to-zero"
	return map[string]row{
		"ConnectionCheck.id":         {two, one(right), change(func(c *ConnectionCheck) { c.ID = 3 }), withoutErrors},
		"ConnectionCheck.outcome":    {two, one(right), change(func(c *ConnectionCheck) { c.Outcome = Reset }), withoutErrors},
		"ConnectionCheck.errno":      {two, one(right), change(func(c *ConnectionCheck) { c.Errno = "EPIPE" }), withoutErrors},
		"ConnectionCheck.noticed_by": {two, one(right), change(func(c *ConnectionCheck) { c.NoticedBy = "server" }), withoutErrors},
		"Expect.share":               {multi, share(Reset, "1"), variants(shareIs, ShareCheck{Of: Reset, Probability: "0"}), withoutErrors},
		"ShareCheck.of":              {multi, share(Reset, "1"), []Expect{share(Hang, "1"), share(Survived, "1")}, withoutErrors},
		"ShareCheck.probability":     {multi, share(Reset, "1"), []Expect{share(Reset, "0")}, withoutErrors},
	}
}
