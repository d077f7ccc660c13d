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

// checksOf holds each expectation against the accounts. It is pure.
func checksOf(x scenario.Expect, e *evidence.Evidence, accounts []*account.Account, backends int) []Check {
	c := &checker{e: e, all: opened(accounts), backends: backends}
	for _, one := range x.Atoms() {
		c.accounts = covered(x, x.Whom(one), c.all)
		c.out = append(c.out, Check{Text: x.Text(one, backends), Verdict: Pass})
		c.check(one)
	}
	return c.out
}

// opened are the connections that the client has tried to open: of one that no step has come to nothing is known.
func opened(accounts []*account.Account) []*account.Account {
	return slices.DeleteFunc(slices.Clone(accounts), func(a *account.Account) bool { return a.Flow.Since.IsZero() })
}

// covered are the connections that an expectation speaks of.
func covered(x scenario.Expect, whom scenario.Whom, all []*account.Account) []*account.Account {
	var out []*account.Account
	for _, a := range all {
		listed := slices.ContainsFunc(x.Connections, func(c scenario.ConnectionCheck) bool { return c.ID == a.ID })
		if !a.Aside && !listed && (whom.Of == "" || a.Outcome == whom.Of) {
			out = append(out, a)
		}
	}
	return out
}

// checker holds expectations against accounts, one after another: the last of out is the one under way.
type checker struct {
	e *evidence.Evidence
	// accounts are those that the expectation under way covers; all are those of every connection.
	accounts, all []*account.Account
	backends      int
	out           []Check
}

// check judges one expectation. Each kind has its case here; a test fails for one that has none.
func (c *checker) check(one scenario.Atom) {
	switch x := one.(type) {
	case scenario.OutcomeAtom:
		c.eachTold(func(a *account.Account) string { return because(a, differs(string(a.Outcome), string(x))) })
	case scenario.ShareCheck:
		c.share(x)
	case scenario.ErrnoAtom:
		c.eachTold(func(a *account.Account) string {
			if a.Errno != "" && fault.Is("errno-any") {
				return ""
			}
			return differs(a.Errno, string(x))
		})
	case scenario.NoticedByAtom:
		c.eachTold(func(a *account.Account) string { return differs(a.NoticedBy, string(x)) })
	case scenario.FailedSendAtom:
		c.each(func(a *account.Account) string {
			if a.FailedSend == 0 {
				return "no send failed"
			}
			return differs(fmt.Sprint("send ", a.FailedSend), fmt.Sprint("send ", int(x)))
		})
		c.doubt("conntrack", true) // a lost DESTROY may be the last break
	case scenario.ReroutedAtom:
		c.each(func(a *account.Account) string {
			if a.Rerouted() == bool(x) {
				return ""
			}
			return "translated to " + strings.Join(a.Backends, ", then ")
		})
		c.doubt("conntrack", true) // a lost NEW may be the last
	case scenario.PeerAtom:
		c.eachTold(func(a *account.Account) string { return differs(string(a.Peer), string(x)) })
	case scenario.LostAtom:
		c.lost(int(x), func(a *account.Account) *int { return a.LostMessages })
	case scenario.LostAnswersAtom:
		c.lost(int(x), func(a *account.Account) *int { return a.LostAnswers })
	case scenario.BreaksAtom:
		c.each(func(a *account.Account) string {
			if a.Breaks >= int(x) {
				return ""
			}
			return account.Count(a.Breaks, "time", "times")
		})
		c.doubt("conntrack", c.last().Verdict == Fail)
	case scenario.SequenceAtom:
		c.sequence(x)
	case scenario.NeverAtom:
		c.never(x)
	case scenario.PacketCheck:
		c.packets(x)
	case scenario.RuleCheck:
		c.rule(x)
	case scenario.SocketCheck:
		c.socket(x)
	case scenario.ExecCheck:
		c.exec(x)
	case scenario.ConnectionCheck:
		c.connection(x)
	default:
		c.last().Verdict, c.last().Reason = Inconclusive, fmt.Sprintf("nobody judges %T", one)
	}
}

func (c *checker) last() *Check { return &c.out[len(c.out)-1] }

// lost compares how many messages never arrived; where that is not known the answer is Inconclusive.
func (c *checker) lost(want int, of func(*account.Account) *int) {
	unknown := 0
	c.each(func(a *account.Account) string {
		n := of(a)
		if n == nil {
			unknown = a.ID
			return ""
		}
		return differs(fmt.Sprint(*n), fmt.Sprint(want))
	})
	if check := c.last(); unknown > 0 && check.Verdict == Pass {
		check.Verdict, check.Reason = Inconclusive, fmt.Sprintf("connection %d: it is not known which arrived", unknown)
	}
}

// share checks how many connections ended in an outcome against what chance allows.
func (c *checker) share(x scenario.ShareCheck) {
	n, k, untold := len(c.accounts), 0, 0
	for _, a := range c.accounts {
		switch a.Outcome {
		case x.Of:
			k++
		case account.Unknown:
			untold++
		}
	}
	check := c.last()
	if n == 0 {
		check.Verdict, check.Reason = Inconclusive, c.nobody()
		return
	}
	low, high := x.Allowed(n, c.backends)
	check.Share = &Share{k, n, low, high}
	check.Reason = fmt.Sprintf("%d of %d (%.3f); chance allows %d to %d", k, n, float64(k)/float64(n), low, high)
	switch {
	case fault.Is("share-unbounded"):
	case k > high || k+untold < low:
		check.Verdict = Fail
	case untold > 0:
		check.Verdict = Inconclusive
		check.Reason += fmt.Sprintf("; of %d it cannot be told what became of them", untold)
	case k < low:
		check.Verdict = Fail
	case !x.Tells(n, c.backends): // there are fewer than the plan could know
		check.Verdict = Inconclusive
		check.Reason += ": too few to tell right from wrong"
	}
}

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
}

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

// rule checks that the counter of a rule has moved, or has not.
func (c *checker) rule(x scenario.RuleCheck) {
	check := c.last()
	check.Verdict, check.Reason = Fail, "there is no such rule"
	var packets uint64
	for _, counter := range c.e.Rules[x.On] {
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
