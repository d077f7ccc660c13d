package result

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// Each observation that a recorded scenario asks for is needed: without it the verdict is fail; and if the watcher
// says that it has lost something, the verdict is inconclusive, for the observation may be what was lost.
func TestRequiredObservations(t *testing.T) {
	for _, name := range recorded.Names {
		s := builtin.Find(t, name)
		for _, check := range s.Expect.Events {
			for i := range check.Sequence {
				t.Run(fmt.Sprintf("%s/%s/%d", name, check.On, i), func(t *testing.T) {
					missing(t, s, "conntrack", func(e *evidence.Evidence) { withoutPattern(s, e, check.On, check.Sequence[i]) })
				})
			}
		}
		for i, check := range s.Expect.Packets {
			if check.Never {
				continue
			}
			t.Run(fmt.Sprintf("%s/packet/%d", name, i), func(t *testing.T) {
				missing(t, s, "packet", func(e *evidence.Evidence) { withoutPacket(s, e, check) })
			})
		}
	}
}

// missing checks the verdict on evidence from which something was taken away, with and without losses.
func missing(t *testing.T, s scenario.Scenario, source string, take func(*evidence.Evidence)) {
	t.Helper()
	e := recorded.Of(t, s.Name)
	take(e)
	if r := New(builtin.Plan(t, s), e); r.Verdict != verdict.Fail {
		t.Errorf("without it: %s: %s", r.Verdict, r.Reason)
	}
	e.Lost[source] = 1
	if r := New(builtin.Plan(t, s), e); r.Verdict != verdict.Inconclusive {
		t.Errorf("without it, and with a loss: %s: %s", r.Verdict, r.Reason)
	}
}

func accountsFor(s scenario.Scenario, e *evidence.Evidence) []*account.Account {
	return account.AccountsOf(e, max(s.World.Connections, e.Connections), e.Index(), e.Followed())
}

// withoutPattern takes away every event of a node that matches, for whatever connection.
func withoutPattern(s scenario.Scenario, e *evidence.Evidence, on string, p scenario.EventPattern) {
	accounts := accountsFor(s, e)
	kept := slices.DeleteFunc(slices.Clone(e.Events), func(ev evidence.EntryEvent) bool {
		return ev.Node == on && slices.ContainsFunc(accounts, func(a *account.Account) bool { return verdict.MatchesEvent(p, e, a, &ev) })
	})
	e.Events = kept
}

func withoutPacket(s scenario.Scenario, e *evidence.Evidence, x scenario.PacketCheck) {
	accounts := accountsFor(s, e)
	var kept []packet.Packet
	for _, p := range e.Followed() {
		if !slices.ContainsFunc(accounts, func(a *account.Account) bool { return verdict.MatchesPacket(x, e, a, &p) }) {
			kept = append(kept, p)
		}
	}
	e.Packets = kept
}

// What rests on something not having happened is inconclusive as soon as its watcher has lost anything; a sequence
// and a packet that were seen are seen, whatever else was lost.
func TestLossesMakeAbsenceInconclusive(t *testing.T) {
	rests := map[string]func(scenario.Expect) bool{
		"conntrack": func(x scenario.Expect) bool {
			return x.Rerouted != nil || x.FailedSend > 0 || x.Outcome == account.Survived || // of a later break nothing would be known
				slices.ContainsFunc(x.Events, func(c scenario.EventsCheck) bool { return len(c.Never) > 0 })
		},
		"packet": func(x scenario.Expect) bool {
			return slices.ContainsFunc(x.Packets, func(c scenario.PacketCheck) bool { return c.Never })
		},
	}
	seen := map[verdict.Verdict]bool{}
	for _, name := range recorded.Names {
		for source, onAbsence := range rests {
			s, e, want := builtin.Find(t, name), recorded.Of(t, name), verdict.Pass
			if onAbsence(s.Expect) {
				want = verdict.Inconclusive
			}
			seen[want] = true
			e.Lost[source] = 3
			r := New(builtin.Plan(t, s), e)
			if r.Verdict != want {
				t.Errorf("%s with lost %s observations: %s: %s, want %s", name, source, r.Verdict, r.Reason, want)
			}
			if want == verdict.Inconclusive && !strings.Contains(r.Reason, "up to 3 "+source+" observations were lost") {
				t.Errorf("%s: the reason does not name the loss: %s", name, r.Reason)
			}
		}
	}
	if len(seen) != 2 {
		t.Error("the recordings show only one of the two cases")
	}
}

// An interrupted run has seen a part only, so nothing it shows is a verdict.
func TestInterruptedIsInconclusive(t *testing.T) {
	for _, name := range recorded.Names {
		e := recorded.Of(t, name)
		e.Interrupted = true
		r := New(builtin.Plan(t, builtin.Find(t, name)), e)
		if r.Verdict != verdict.Inconclusive || !r.Interrupted {
			t.Errorf("%s as it was: %s", name, r.Verdict)
		}
		for _, c := range r.Expectations {
			if c.Verdict != verdict.Inconclusive {
				t.Errorf("%s: %s: %s", name, c.Text, c.Verdict)
			}
		}
		withoutErrors(e)
		if r := New(builtin.Plan(t, builtin.Find(t, name)), e); r.Verdict != verdict.Inconclusive {
			t.Errorf("%s without errors: %s", name, r.Verdict)
		}
	}
}

// The reason of a failure names what was expected, what was seen, and the fact that the run waited for in vain.
func TestReasons(t *testing.T) {
	e := recorded.Of(t, multi)
	e.Unmet = "1 of 1 connections were not re-routed in 64 rounds"
	r := judged(t, multi, scenario.Expect{Outcome: account.Hang, Errno: "EPIPE"}, e)
	for _, want := range []string{"every connection: hang: connection 1: reset", "first error EPIPE: connection 1: ECONNRESET", e.Unmet} {
		if !strings.Contains(r.Reason, want) {
			t.Errorf("%q is not in the reason: %s", want, r.Reason)
		}
	}
}

// An alternative that cannot be told, because of losses, leaves the whole undecided.
func TestAlternativeInDoubt(t *testing.T) {
	never := []scenario.EventsCheck{{Never: []scenario.EventPattern{{Type: "DESTROY", By: "expiry"}}}}
	x := scenario.Expect{Outcome: account.Survived, Alternatives: []scenario.Alternative{{Reason: "for the test", Expect: scenario.Expect{Outcome: account.Reset, Events: never}}}}
	e := recorded.Of(t, multi)
	if r := judged(t, multi, x, e); r.Verdict != verdict.Pass {
		t.Errorf("the alternative holds: %s: %s", r.Verdict, r.Reason)
	}
	e.Lost["conntrack"] = 1
	if r := judged(t, multi, x, e); r.Verdict != verdict.Inconclusive {
		t.Errorf("the alternative is in doubt: %s: %s", r.Verdict, r.Reason)
	}
}
