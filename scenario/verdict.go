package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// checksOf holds each expectation against the accounts. It is pure.
func checksOf(x Expect, e *evidence, accounts []*account, backends int) []Check {
	c := &checker{e: e, accounts: others(x, accounts)}
	if x.Share != nil {
		c.share(*x.Share, backends)
	} else {
		every := "every connection: "
		if len(x.Connections) > 0 {
			every = "every other connection: " // than those below
		}
		c.each(every+string(x.Outcome), func(a *account) string {
			return differs(string(a.Outcome), string(x.Outcome))
		})
	}
	c.application(x)
	for _, ev := range x.Events {
		c.events(ev)
	}
	for _, p := range x.Packets {
		c.packets(p)
	}
	for _, r := range x.Rules {
		c.rule(r)
	}
	for _, s := range x.Sockets {
		c.socket(s)
	}
	for _, one := range x.Connections {
		c.connection(one, accounts)
	}
	return c.out
}

// others are the connections that no ConnectionCheck speaks of.
func others(x Expect, accounts []*account) []*account {
	var out []*account
	for _, a := range accounts {
		if !a.aside && !slices.ContainsFunc(x.Connections, func(c ConnectionCheck) bool { return c.ID == a.ID }) {
			out = append(out, a)
		}
	}
	return out
}

// application checks what the programs met and where their flows went.
func (c *checker) application(x Expect) {
	if x.Errno != "" {
		c.each("first error: "+x.Errno, func(a *account) string { return differs(a.Errno, x.Errno) })
	}
	if x.NoticedBy != "" {
		c.each("noticed by the "+x.NoticedBy, func(a *account) string { return differs(a.NoticedBy, x.NoticedBy) })
	}
	if x.FailedSend > 0 {
		c.each(fmt.Sprintf("send %d after the break is the first to fail", x.FailedSend), func(a *account) string {
			if a.failedSend == 0 {
				return "no send failed"
			}
			return differs(fmt.Sprint("send ", a.failedSend), fmt.Sprint("send ", x.FailedSend))
		})
		c.doubt("conntrack", true) // a lost DESTROY may be the last break
	}
	if x.Rerouted != nil {
		c.each(rerouteText(*x.Rerouted), func(a *account) string {
			if a.rerouted() == *x.Rerouted {
				return ""
			}
			return "translated to " + strings.Join(a.Backends, ", then ")
		})
		c.doubt("conntrack", true) // a lost NEW may be the last
	}
	if x.Peer != "" {
		c.each("the old backend's socket stays established", func(a *account) string {
			return differs(string(a.Peer), string(x.Peer))
		})
	}
	if x.Lost != nil {
		c.each(fmt.Sprintf("messages that never arrived: %d", *x.Lost), func(a *account) string {
			return differs(fmt.Sprint(a.lost()), fmt.Sprint(*x.Lost))
		})
	}
	if x.Breaks > 0 {
		c.each("entry destroyed at least "+Count(x.Breaks, "time", "times"), func(a *account) string {
			if a.Breaks >= x.Breaks {
				return ""
			}
			return Count(a.Breaks, "time", "times")
		})
		c.doubt("conntrack", c.out[len(c.out)-1].Verdict == Fail)
	}
}

func differs(got, want string) string {
	if got == want {
		return ""
	}
	if got == "" {
		got = "none"
	}
	return got
}

type checker struct {
	e        *evidence
	accounts []*account
	out      []Check
}

// each is an expectation that every connection must meet; wrong tells how one does not.
func (c *checker) each(text string, wrong func(*account) string) {
	check := Check{Text: text, Verdict: Pass}
	bad := 0
	for _, a := range c.accounts {
		if w := wrong(a); w != "" {
			if bad++; bad == 1 {
				check.Verdict, check.Reason = Fail, fmt.Sprintf("connection %d: %s", a.ID, w)
			}
		}
	}
	if bad > 1 {
		check.Reason += fmt.Sprintf(" (and %d more of %d connections)", bad-1, len(c.accounts))
	}
	c.out = append(c.out, check)
}

// doubt turns the last check's answer into Inconclusive if its source was not watched, or if it rests on something not
// having been seen while the source has lost observations: what is missing may be among them.
func (c *checker) doubt(source string, restsOnAbsence bool) {
	last := &c.out[len(c.out)-1]
	if c.e.unwatched[Source(source)] {
		last.Verdict, last.Reason = Inconclusive, source+notWatched
		return
	}
	if n := c.e.lost[source]; n > 0 && restsOnAbsence {
		last.Verdict = Inconclusive
		last.Reason = strings.TrimPrefix(fmt.Sprintf("%s; up to %d %s observations were lost", last.Reason, n, source), "; ")
	}
}

func (c *checker) events(x EventsCheck) {
	if len(x.Sequence) > 0 {
		c.each(fmt.Sprintf("conntrack on %s: %s", x.On, joinPatterns(x.Sequence)), func(a *account) string {
			next := 0
			for _, ev := range a.events {
				if next < len(x.Sequence) && ev.node == x.On && matchesEvent(x.Sequence[next], c.e, a, ev) {
					next++
				}
			}
			if next == len(x.Sequence) {
				return ""
			}
			return "not seen: " + x.Sequence[next].String()
		})
		c.doubt("conntrack", c.out[len(c.out)-1].Verdict == Fail)
	}
	for _, p := range x.Never {
		c.each(fmt.Sprintf("conntrack on %s, never: %s", x.On, p), func(a *account) string {
			for _, ev := range a.events {
				if ev.node == x.On && matchesEvent(p, c.e, a, ev) {
					return "seen: " + ev.String()
				}
			}
			return ""
		})
		c.doubt("conntrack", c.out[len(c.out)-1].Verdict == Pass)
	}
}

func matchesEvent(p EventPattern, e *evidence, a *account, ev *entryEvent) bool {
	switch {
	case ev.Type.String() != p.Type,
		p.State != "" && (!ev.HasTCP || ev.TCP.String() != p.State),
		p.Unreplied != nil && *p.Unreplied == ev.Status.Has(conntrack.StatusSeenReply),
		p.Assured != nil && *p.Assured != ev.Status.Has(conntrack.StatusAssured),
		p.By != "" && destroyerWord(ev.DestroyedBy()) != p.By:
		return false
	}
	if p.Backend == "" {
		return true
	}
	pod := e.pods[ev.Reply.Src.Addr()]
	first := len(a.Backends) > 0 && pod == a.Backends[0]
	return pod != "" && first == (p.Backend == "first")
}

var tcpFlags = map[string]packet.TCPFlags{"SYN": packet.SYN, "FIN": packet.FIN, "RST": packet.RST}

func (c *checker) packets(x PacketCheck) {
	text := x.describe()
	if x.Never {
		text = "never a " + text
	}
	c.each("packet: "+text, func(a *account) string {
		i := slices.IndexFunc(a.packets, func(p *packet.Packet) bool { return matchesPacket(x, c.e, a, p) })
		switch {
		case i >= 0 && x.Never:
			return "seen: " + a.packets[i].String()
		case i < 0 && !x.Never:
			return "not seen"
		}
		return ""
	})
	c.doubt("packet", (c.out[len(c.out)-1].Verdict == Pass) == x.Never)
	if strings.HasSuffix(x.From, "-backend") {
		c.doubt("conntrack", true) // which backend was the first is known from the first NEW
	}
}

func matchesPacket(x PacketCheck, e *evidence, a *account, p *packet.Packet) bool {
	at := p.At == x.At || (x.At == podClient && p.At == e.clientAt)
	if x.At == "servers" {
		at = e.isPod(p.At)
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
	return at && is && p.Protocol == packet.TCP && (x.From == "" || isFrom(e, a, p.Src, x.From))
}

// rule checks that the counter of a rule has moved, or has not.
func (c *checker) rule(x RuleCheck) {
	check := Check{Text: fmt.Sprintf("rule on %s met: %s", x.On, x.Rule), Verdict: Fail, Reason: "there is no such rule"}
	if !*x.Moved {
		check.Text = fmt.Sprintf("rule on %s never met: %s", x.On, x.Rule)
	}
	var packets uint64
	for _, counter := range c.e.rules[x.On] {
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
	c.out = append(c.out, check)
}

// socket checks the state of one side's socket at the end. Of several servers' sockets one is enough.
func (c *checker) socket(x SocketCheck) {
	text := fmt.Sprintf("at the end the %s's socket is %s", x.Side, x.State)
	if x.Timer != "" {
		text += ", timer " + x.Timer
	}
	c.each(text, func(a *account) string {
		got := "there is none"
		for _, f := range a.last {
			if string(f.side) != x.Side {
				continue
			}
			if f.State == x.State && (x.Timer == "" || f.timer == x.Timer) {
				return ""
			}
			got = strings.TrimSpace(f.State + " " + f.timer)
		}
		return got
	})
}

// connection checks one that ends differently from the rest.
func (c *checker) connection(x ConnectionCheck, accounts []*account) {
	check := Check{Text: fmt.Sprintf("connection %d: %s %s", x.ID, x.Outcome, x.Errno), Verdict: Fail, Reason: "there is none"}
	check.Text = strings.TrimSpace(check.Text)
	for _, a := range accounts {
		if a.ID != x.ID {
			continue
		}
		check.Verdict, check.Reason = Pass, ""
		if a.Outcome != x.Outcome || (x.Errno != "" && a.Errno != x.Errno) || (x.NoticedBy != "" && a.NoticedBy != x.NoticedBy) {
			check.Verdict, check.Reason = Fail, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", a.Outcome, a.Errno, a.NoticedBy)), ", ")
		}
	}
	c.out = append(c.out, check)
}

func isFrom(e *evidence, a *account, src netip.AddrPort, role string) bool {
	pod := e.pods[src.Addr()]
	switch role {
	case "service":
		return src == e.service
	case "client":
		return src.Addr() == e.client
	case "first-backend":
		return pod != "" && len(a.Backends) > 0 && pod == a.Backends[0]
	case "other-backend":
		return pod != "" && len(a.Backends) > 0 && pod != a.Backends[0]
	}
	return false
}
