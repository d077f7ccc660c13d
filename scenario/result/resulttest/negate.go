package resulttest

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// Negation is an expectation of which one atom says the opposite. What it says is Text.
type Negation struct {
	Text   string
	Expect scenario.Expect
}

// words are the outcomes that an atom may be turned into.
var words = []account.Outcome{account.Survived, account.Reset, account.Hang, account.Refused, account.Timeout, account.WrongBackend}

// Negations negates each atom of an expectation, the others left as they are. Alternatives are left out: what they allow is not
// what the scenario expects. An atom for whose opposite the language has no word is among the second.
func Negations(x scenario.Expect) (all []Negation, wordless []scenario.Atom) {
	x.Alternatives = nil
	add := func(change func(*scenario.Expect), format string, args ...any) {
		n := x
		n.Events, n.Packets, n.Rules = slices.Clone(x.Events), slices.Clone(x.Packets), slices.Clone(x.Rules)
		n.Sockets, n.Connections = slices.Clone(x.Sockets), slices.Clone(x.Connections)
		change(&n)
		all = append(all, Negation{fmt.Sprintf(format, args...), n})
	}
	places := map[string]int{} // of the lists' atoms, which come in the lists' order
	next := func(list string) int { places[list]++; return places[list] - 1 }
	for _, one := range x.Atoms() {
		switch a := one.(type) {
		case scenario.OutcomeAtom:
			for _, w := range words {
				if w != a.Outcome {
					add(func(n *scenario.Expect) { n.Outcome = w }, "outcome %s", w)
				}
			}
		case scenario.ShareCheck:
			add(func(n *scenario.Expect) {
				n.Share = &scenario.ShareCheck{Of: a.Of, Probability: map[bool]string{true: "1", false: "0"}[a.Probability == "0"]}
			}, "share of another probability")
		case scenario.ErrnoAtom:
			add(func(n *scenario.Expect) { n.Errno = "EBOGUS" }, "errno EBOGUS")
		case scenario.NoticedByAtom:
			other := map[bool]string{true: "server", false: "client"}[a == "client"]
			add(func(n *scenario.Expect) { n.NoticedBy = other }, "noticed_by %s", other)
		case scenario.FailedSendAtom:
			add(func(n *scenario.Expect) { n.FailedSend++ }, "failed_send one more")
		case scenario.ReroutedAtom:
			other := !bool(a)
			add(func(n *scenario.Expect) { n.Rerouted = &other }, "rerouted %v", other)
		case scenario.LostAtom:
			more := int(a) + 1
			add(func(n *scenario.Expect) { n.Lost = &more }, "lost_messages %d", more)
		case scenario.BreaksAtom:
			add(func(n *scenario.Expect) { n.Breaks = 1000 }, "breaks_at_least 1000")
		case scenario.SequenceAtom:
			add(func(n *scenario.Expect) {
				n.Events = append(n.Events, scenario.EventsCheck{On: a.On, Never: a.Events[:1]})
			}, "never on %s: %s", a.On, a.Events[0])
		case scenario.NeverAtom:
			add(func(n *scenario.Expect) {
				n.Events = append(n.Events, scenario.EventsCheck{On: a.On, Sequence: []scenario.EventPattern{a.Event}})
			}, "seen on %s: %s", a.On, a.Event)
		case scenario.PacketCheck:
			i := next("packets")
			add(func(n *scenario.Expect) { n.Packets[i].Never = !a.Never }, "packet %d never: %v", i, !a.Never)
		case scenario.RuleCheck:
			i, other := next("rules"), !*a.Moved
			add(func(n *scenario.Expect) { n.Rules[i].Moved = &other }, "rule %d moved: %v", i, other)
		case scenario.SocketCheck:
			i, other := next("sockets"), map[bool]string{true: "CLOSING", false: "ESTABLISHED"}[a.State == "ESTABLISHED"]
			add(func(n *scenario.Expect) { n.Sockets[i].State = other }, "socket %d in %s", i, other)
		case scenario.ConnectionCheck:
			i, other := next("connections"), words[(slices.Index(words, a.Outcome)+1)%len(words)]
			add(func(n *scenario.Expect) { n.Connections[i].Outcome = other }, "connection %d: %s", a.ID, other)
		default:
			wordless = append(wordless, one)
		}
	}
	return all, wordless
}

// Judged is what the verdict on a run is if that is expected.
func Judged(p *scenario.Plan, e *evidence.Evidence, x scenario.Expect) (verdict.Verdict, string) {
	other := *p
	other.Expect = x
	accounts := account.AccountsOf(e, max(p.Connections, e.Connections), e.Index(), e.Followed())
	_, v, reason := verdict.Judge(&other, e, accounts)
	return v, reason
}

// Tally counts what became of negations. The zero value has counted none.
type Tally struct {
	Failed, Inconclusive int
	// Open are those that did not fail, each with its reason.
	Open []string
	// Passed are those that passed: each is a verdict that means nothing.
	Passed []string
}

// Negate judges every negation of a plan's expectation on the evidence of a run that has passed.
func (t *Tally) Negate(p *scenario.Plan, e *evidence.Evidence) {
	all, wordless := Negations(p.Expect)
	for _, n := range all {
		v, reason := Judged(p, e, n.Expect)
		line := fmt.Sprintf("%s: %s: %s", p.Scenario, n.Text, reason)
		switch v {
		case verdict.Fail:
			t.Failed++
		case verdict.Inconclusive:
			t.Inconclusive++
			t.Open = append(t.Open, line)
		default:
			t.Passed = append(t.Passed, line)
		}
	}
	for _, a := range wordless {
		t.Inconclusive++
		t.Open = append(t.Open, fmt.Sprintf("%s: %s: the language has no word for the opposite", p.Scenario, a.Text(len(p.Servers))))
	}
}

// Problem says what is wrong with the counts; empty if four of five failed, and none passed.
func (t *Tally) Problem() string {
	all := t.Failed + t.Inconclusive + len(t.Passed)
	switch {
	case all == 0:
		return "nothing was negated"
	case len(t.Passed) > 0:
		return fmt.Sprintf("%d of %d negated expectations pass: %q", len(t.Passed), all, t.Passed)
	case 5*t.Failed < 4*all:
		return fmt.Sprintf("%d of %d negated expectations fail; open are %q", t.Failed, all, t.Open)
	}
	return ""
}
