package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario"
)

// The checks of this file are held against what was observed: events, packets, counters, sockets, commands.

func (c *checker) sequence(x scenario.SequenceAtom) {
	c.each(func(a *account.Account) string {
		next := 0
		for _, ev := range a.Events {
			if next < len(x.Events) && ev.Node == x.On && MatchesEvent(x.Events[next], c.e, a, ev) {
				next++
			}
		}
		if next == len(x.Events) {
			return ""
		}
		return "not seen: " + x.Events[next].String()
	})
	c.doubt("conntrack", c.last().Verdict == Fail)
	c.untold(c.last().Verdict == Fail && slices.ContainsFunc(x.Events, func(p scenario.EventPattern) bool { return p.By != "" }))
}

func (c *checker) never(x scenario.NeverAtom) {
	c.each(func(a *account.Account) string {
		for _, ev := range a.Events {
			if ev.Node == x.On && MatchesEvent(x.Event, c.e, a, ev) {
				return "seen: " + ev.String()
			}
		}
		return ""
	})
	c.doubt("conntrack", c.last().Verdict == Pass)
	c.untold(c.last().Verdict == Pass && x.Event.By != "")
}

// MatchesEvent tells whether a conntrack event of a connection is one that a pattern describes. Which backend was the first is
// known from the account.
func MatchesEvent(p scenario.EventPattern, e *evidence.Evidence, a *account.Account, ev *evidence.EntryEvent) bool {
	switch {
	case ev.Type.String() != p.Type,
		p.State != "" && (!ev.HasTCP || ev.TCP.String() != p.State),
		p.Unreplied != nil && *p.Unreplied == ev.Status.Has(conntrack.StatusSeenReply),
		p.Assured != nil && *p.Assured != ev.Status.Has(conntrack.StatusAssured),
		p.By != "" && evidence.DestroyerWord(ev.DestroyedBy()) != p.By:
		return false
	}
	if p.Backend == "" {
		return true
	}
	pod := e.Pods[ev.Reply.Src.Addr()]
	first := len(a.Backends) > 0 && pod == a.Backends[0]
	return pod != "" && first == (p.Backend == "first")
}

// tcpFlags are the flags that a PacketCheck can name.
var tcpFlags = map[string]packet.TCPFlags{"SYN": packet.SYN, "FIN": packet.FIN, "RST": packet.RST}

func (c *checker) packets(x scenario.PacketCheck) {
	c.each(func(a *account.Account) string {
		i := slices.IndexFunc(a.Packets, func(p *packet.Packet) bool { return MatchesPacket(x, c.e, a, p) })
		switch {
		case i >= 0 && x.Never && !fault.Is("never-passes"):
			return "seen: " + a.Packets[i].String()
		case i < 0 && !x.Never:
			return "not seen"
		}
		return ""
	})
	c.doubt("packet", (c.last().Verdict == Pass) == x.Never)
	if strings.HasSuffix(x.From, "-backend") {
		c.doubt("conntrack", true) // which backend was the first is known from the first NEW
	}
}

// MatchesPacket tells whether a captured packet of a connection is one that a check describes: its flag, the place where it was
// captured and who sent it.
func MatchesPacket(x scenario.PacketCheck, e *evidence.Evidence, a *account.Account, p *packet.Packet) bool {
	at := p.At == x.At || (x.At == scenario.PodClient && p.At == e.ClientAt)
	if x.At == "servers" {
		at = e.IsPod(p.At)
	}
	var is bool
	switch x.Flag {
	case "keepalive":
		is = p.Relative.Repeat == packet.KeepAlive
	case "retransmission":
		is = p.Relative.Repeat == packet.Retransmission
	default:
		is = p.Flags.Has(tcpFlags[x.Flag])
	}
	is = is || fault.Is("any-packet-serves")
	return at && is && p.Protocol == packet.TCP && (x.From == "" || isFrom(e, a, p.Src, x.From))
}

// rule checks that the counter of a rule has moved, or has not. What counted in one that a step has taken away counts too.
func (c *checker) rule(x scenario.RuleCheck) {
	check := c.last()
	check.Verdict, check.Reason = Fail, "there is no such rule"
	var packets uint64
	for _, counter := range slices.Concat(c.e.Rules[x.On], c.e.Gone[x.On]) {
		if strings.Contains("-A "+counter.Chain+" "+counter.Rule, x.Rule) {
			packets += counter.Packets
			check.Verdict, check.Reason = Pass, ""
		}
	}
	if check.Verdict == Pass {
		check.Reason = fmt.Sprintf("%d packets", packets)
		if (packets > 0) != *x.Moved {
			check.Verdict = Fail
		}
	}
}

// socket checks the state of one side's socket at the end. Of several servers' sockets one is enough.
func (c *checker) socket(x scenario.SocketCheck) {
	c.each(func(a *account.Account) string {
		got := "there is none"
		for _, f := range a.Last {
			if string(f.Side) != x.Side {
				continue
			}
			if f.State == x.State && (x.Timer == "" || f.Timer == x.Timer) {
				return ""
			}
			got = strings.TrimSpace(f.State + " " + f.Timer)
		}
		return got
	})
}

// exec checks how a command ended, each time that it was run.
func (c *checker) exec(x scenario.ExecCheck) {
	check := c.last()
	check.Verdict, check.Reason = Inconclusive, "it was not run"
	for i := range c.e.Deeds {
		ran := c.e.Deeds[i].Exec
		if ran == nil || ran.Number != x.Number {
			continue
		}
		check.Verdict, check.Reason = Pass, ""
		switch {
		case x.Exit != nil && (ran.Exit != *x.Exit || ran.Signal != ""):
			check.Verdict, check.Reason = Fail, ran.End()
		case !strings.Contains(ran.Output, x.Output) && ran.Cut:
			check.Verdict, check.Reason = Inconclusive, fmt.Sprintf("it printed more than the %d bytes that are kept", evidence.MaxOutput)
		case !strings.Contains(ran.Output, x.Output):
			check.Verdict, check.Reason = Fail, fmt.Sprintf("it printed %.200q", strings.TrimSpace(ran.Output))
		}
		if check.Verdict != Pass {
			return
		}
	}
}

// connection checks one that ends differently from the rest.
func (c *checker) connection(x scenario.ConnectionCheck) {
	check := c.last()
	check.Verdict, check.Reason = Inconclusive, noSuch
	for _, a := range c.all {
		if a.ID != x.ID {
			continue
		}
		check.Verdict, check.Reason = Pass, ""
		if a.Outcome == account.Unknown {
			check.Verdict, check.Reason = Inconclusive, because(a, "it cannot be told what became of it")
			continue
		}
		if a.Outcome != x.Outcome && !fault.Is("connection-any-outcome") || (x.Errno != "" && a.Errno != x.Errno) || (x.NoticedBy != "" && a.NoticedBy != x.NoticedBy) {
			check.Verdict, check.Reason = Fail, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", a.Outcome, a.Errno, a.NoticedBy)), ", ")
		}
	}
}

// isFrom tells whether an address has a role in a connection.
func isFrom(e *evidence.Evidence, a *account.Account, src netip.AddrPort, role string) bool {
	pod := e.Pods[src.Addr()]
	switch role {
	case "service":
		return src == e.Service
	case "client":
		return src.Addr() == e.Client
	case "first-backend":
		return pod != "" && len(a.Backends) > 0 && pod == a.Backends[0]
	case "other-backend":
		return pod != "" && len(a.Backends) > 0 && pod != a.Backends[0]
	}
	return false
}
