package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// checks holds each expectation against the stories. It is pure.
func (x Expect) checks(e *evidence, stories []*story, backends int) []Check {
	c := &checker{e: e, stories: x.others(stories)}
	if x.Share != nil {
		c.share(*x.Share, backends)
	} else {
		every := "every connection: "
		if len(x.Connections) > 0 {
			every = "every other connection: " // than those below
		}
		c.each(every+string(x.Outcome), func(s *story) string {
			return differs(string(s.Outcome), string(x.Outcome))
		})
	}
	x.application(c)
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
		c.connection(one, stories)
	}
	return c.out
}

// others are the connections that no ConnectionCheck speaks of.
func (x Expect) others(stories []*story) []*story {
	var out []*story
	for _, s := range stories {
		if !s.aside && !slices.ContainsFunc(x.Connections, func(c ConnectionCheck) bool { return c.ID == s.ID }) {
			out = append(out, s)
		}
	}
	return out
}

// application checks what the programs met and where their flows went.
func (x Expect) application(c *checker) {
	if x.Errno != "" {
		c.each("first error: "+x.Errno, func(s *story) string { return differs(s.Errno, x.Errno) })
	}
	if x.NoticedBy != "" {
		c.each("noticed by the "+x.NoticedBy, func(s *story) string { return differs(s.NoticedBy, x.NoticedBy) })
	}
	if x.FailedSend > 0 {
		c.each(fmt.Sprintf("send %d after the break is the first to fail", x.FailedSend), func(s *story) string {
			if s.failedSend == 0 {
				return "no send failed"
			}
			return differs(fmt.Sprint("send ", s.failedSend), fmt.Sprint("send ", x.FailedSend))
		})
		c.doubt("conntrack", true) // a lost DESTROY may be the last break
	}
	if x.Rerouted != nil {
		c.each(rerouteText(*x.Rerouted), func(s *story) string {
			if s.rerouted() == *x.Rerouted {
				return ""
			}
			return "translated to " + strings.Join(s.Backends, ", then ")
		})
		c.doubt("conntrack", true) // a lost NEW may be the last
	}
	if x.Peer != "" {
		c.each("the old backend's socket stays established", func(s *story) string {
			return differs(string(s.Peer), string(x.Peer))
		})
	}
	if x.Lost != nil {
		c.each(fmt.Sprintf("messages that never arrived: %d", *x.Lost), func(s *story) string {
			return differs(fmt.Sprint(s.lost()), fmt.Sprint(*x.Lost))
		})
	}
	if x.Breaks > 0 {
		c.each("entry destroyed at least "+times(x.Breaks, "time", "times"), func(s *story) string {
			if s.Breaks >= x.Breaks {
				return ""
			}
			return times(s.Breaks, "time", "times")
		})
		c.doubt("conntrack", c.out[len(c.out)-1].Verdict == Fail)
	}
}

func rerouteText(yes bool) string {
	if yes {
		return "re-routed to another backend"
	}
	return "never re-routed to another backend"
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
	e       *evidence
	stories []*story
	out     []Check
}

// each is an expectation that every connection must meet; wrong tells how one does not.
func (c *checker) each(text string, wrong func(*story) string) {
	check := Check{Text: text, Verdict: Pass}
	bad := 0
	for _, s := range c.stories {
		if w := wrong(s); w != "" {
			if bad++; bad == 1 {
				check.Verdict, check.Reason = Fail, fmt.Sprintf("connection %d: %s", s.ID, w)
			}
		}
	}
	if bad > 1 {
		check.Reason += fmt.Sprintf(" (and %d more of %d connections)", bad-1, len(c.stories))
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
		c.each(fmt.Sprintf("conntrack on %s: %s", x.On, joinPatterns(x.Sequence)), func(s *story) string {
			next := 0
			for _, ev := range s.events {
				if next < len(x.Sequence) && ev.node == x.On && x.Sequence[next].matches(c.e, s, ev) {
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
		c.each(fmt.Sprintf("conntrack on %s, never: %s", x.On, p), func(s *story) string {
			for _, ev := range s.events {
				if ev.node == x.On && p.matches(c.e, s, ev) {
					return "seen: " + ev.String()
				}
			}
			return ""
		})
		c.doubt("conntrack", c.out[len(c.out)-1].Verdict == Pass)
	}
}

func joinPatterns(ps []EventPattern) string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = p.String()
	}
	return strings.Join(words, " → ")
}

// String is the pattern in the words of a conntrack line.
func (p EventPattern) String() string {
	words := []string{p.Type}
	if p.State != "" {
		words = append(words, p.State)
	}
	for _, flag := range []struct {
		set  *bool
		name string
	}{{p.Unreplied, "[UNREPLIED]"}, {p.Assured, "[ASSURED]"}} {
		if flag.set != nil && *flag.set {
			words = append(words, flag.name)
		} else if flag.set != nil {
			words = append(words, "not "+flag.name)
		}
	}
	if p.By != "" {
		words = append(words, "by "+p.By)
	}
	if p.Backend != "" {
		words = append(words, "to the "+p.Backend+" backend")
	}
	return strings.Join(words, " ")
}

var destroyers = map[string]conntrack.Destroyer{"caller": conntrack.Caller, "expiry": conntrack.Expired,
	"rst": conntrack.Reset, "kernel": conntrack.Kernel}

func (p EventPattern) matches(e *evidence, s *story, ev nodeEvent) bool {
	switch {
	case ev.Type.String() != p.Type,
		p.State != "" && (!ev.HasTCP || ev.TCP.String() != p.State),
		p.Unreplied != nil && *p.Unreplied == ev.Status.Has(conntrack.StatusSeenReply),
		p.Assured != nil && *p.Assured != ev.Status.Has(conntrack.StatusAssured),
		p.By != "" && ev.DestroyedBy() != destroyers[p.By]:
		return false
	}
	if p.Backend == "" {
		return true
	}
	pod := e.pods[ev.Reply.Src.Addr()]
	first := len(s.Backends) > 0 && pod == s.Backends[0]
	return pod != "" && first == (p.Backend == "first")
}

var tcpFlags = map[string]packet.TCPFlags{"SYN": packet.SYN, "FIN": packet.FIN, "RST": packet.RST}

// Describe is the packet in words, "RST from the service at client".
func (x PacketCheck) Describe() string {
	text := x.Flag
	if x.From != "" {
		text += " from the " + x.From
	}
	at := x.At
	if at == "" { // of a step, which has its defaults only when it runs
		at = podClient
	}
	return text + " at " + at
}

func (c *checker) packets(x PacketCheck) {
	text := x.Describe()
	if x.Never {
		text = "never a " + text
	}
	c.each("packet: "+text, func(s *story) string {
		i := slices.IndexFunc(s.packets, func(p packet.Packet) bool { return x.matches(c.e, s, p) })
		switch {
		case i >= 0 && x.Never:
			return "seen: " + s.packets[i].String()
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

func (x PacketCheck) matches(e *evidence, s *story, p packet.Packet) bool {
	at := p.At == x.At || (x.At == podClient && p.At == e.clientAt)
	if x.At == "servers" {
		at = slices.Contains(podNames(e), p.At)
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
	return at && is && p.Protocol == packet.TCP && (x.From == "" || isFrom(e, s, p.Src, x.From))
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
	c.each(text, func(s *story) string {
		got := "there is none"
		for _, f := range s.finals {
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
func (c *checker) connection(x ConnectionCheck, stories []*story) {
	check := Check{Text: fmt.Sprintf("connection %d: %s %s", x.ID, x.Outcome, x.Errno), Verdict: Fail, Reason: "there is none"}
	check.Text = strings.TrimSpace(check.Text)
	for _, s := range stories {
		if s.ID != x.ID {
			continue
		}
		check.Verdict, check.Reason = Pass, ""
		if s.Outcome != x.Outcome || (x.Errno != "" && s.Errno != x.Errno) || (x.NoticedBy != "" && s.NoticedBy != x.NoticedBy) {
			check.Verdict, check.Reason = Fail, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", s.Outcome, s.Errno, s.NoticedBy)), ", ")
		}
	}
	c.out = append(c.out, check)
}

func podNames(e *evidence) []string {
	var names []string
	for _, name := range e.pods {
		names = append(names, name)
	}
	return names
}

func isFrom(e *evidence, s *story, src netip.AddrPort, role string) bool {
	pod := e.pods[src.Addr()]
	switch role {
	case "service":
		return src == e.service
	case "client":
		return src.Addr() == e.client
	case "first-backend":
		return pod != "" && len(s.Backends) > 0 && pod == s.Backends[0]
	case "other-backend":
		return pod != "" && len(s.Backends) > 0 && pod != s.Backends[0]
	}
	return false
}
