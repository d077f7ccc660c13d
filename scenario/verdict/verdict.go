package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/probe/conntrack"
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
		c.untold(true)
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
		c.untold(c.last().Verdict == Fail)
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

// untold turns the last check's answer into Inconclusive if it rests on how no entry ended, and of one the kernel has not told.
func (c *checker) untold(restsOnAbsence bool) {
	for _, a := range c.accounts {
		for _, ev := range a.Events {
			if restsOnAbsence && ev.DestroyedBy() == conntrack.Untold {
				c.last().Verdict = Inconclusive
				c.last().Reason = fmt.Sprintf("connection %d: how its entry on %s ended this kernel does not tell", a.ID, ev.Node)
				return
			}
		}
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
