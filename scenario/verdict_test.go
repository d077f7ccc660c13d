package scenario

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/probe/packet"
)

// Each observation that a recorded scenario asks for is needed: without it the verdict is fail; and if the watcher
// says that it has lost something, the verdict is inconclusive, for the observation may be what was lost.
func TestRequiredObservations(t *testing.T) {
	for _, name := range recorded {
		s := find(t, name)
		for _, check := range s.Expect.Events {
			for i := range check.Sequence {
				t.Run(fmt.Sprintf("%s/%s/%d", name, check.On, i), func(t *testing.T) {
					missing(t, s, "conntrack", func(e *evidence) { withoutPattern(s, e, check.On, check.Sequence[i]) })
				})
			}
		}
		for i, check := range s.Expect.Packets {
			if check.Never {
				continue
			}
			t.Run(fmt.Sprintf("%s/packet/%d", name, i), func(t *testing.T) {
				missing(t, s, "packet", func(e *evidence) { withoutPacket(s, e, check) })
			})
		}
	}
}

// missing checks the verdict on evidence from which something was taken away, with and without losses.
func missing(t *testing.T, s Scenario, source string, take func(*evidence)) {
	t.Helper()
	e := evidenceOf(t, s.Name)
	take(e)
	if r := NewResult(planOf(t, s), e); r.Verdict != Fail {
		t.Errorf("without it: %s: %s", r.Verdict, r.Reason)
	}
	e.lost[source] = 1
	if r := NewResult(planOf(t, s), e); r.Verdict != Inconclusive {
		t.Errorf("without it, and with a loss: %s: %s", r.Verdict, r.Reason)
	}
}

func accountsFor(s Scenario, e *evidence) []*account {
	return accountsOf(e, max(s.World.Connections, e.connections), e.index(), e.followed())
}

// withoutPattern takes away every event of a node that matches, for whatever connection.
func withoutPattern(s Scenario, e *evidence, on string, p EventPattern) {
	accounts := accountsFor(s, e)
	kept := slices.DeleteFunc(slices.Clone(e.events), func(ev entryEvent) bool {
		return ev.node == on && slices.ContainsFunc(accounts, func(a *account) bool { return matchesEvent(p, e, a, &ev) })
	})
	e.events = kept
}

func withoutPacket(s Scenario, e *evidence, x PacketCheck) {
	accounts := accountsFor(s, e)
	var kept []packet.Packet
	for _, p := range e.followed() {
		if !slices.ContainsFunc(accounts, func(a *account) bool { return matchesPacket(x, e, a, &p) }) {
			kept = append(kept, p)
		}
	}
	e.packets = kept
}

// What rests on something not having happened is inconclusive as soon as its watcher has lost anything; a sequence
// and a packet that were seen are seen, whatever else was lost.
func TestLossesMakeAbsenceInconclusive(t *testing.T) {
	rests := map[string]func(Expect) bool{
		"conntrack": func(x Expect) bool {
			return x.Rerouted != nil || x.FailedSend > 0 ||
				slices.ContainsFunc(x.Events, func(c EventsCheck) bool { return len(c.Never) > 0 })
		},
		"packet": func(x Expect) bool {
			return slices.ContainsFunc(x.Packets, func(c PacketCheck) bool { return c.Never })
		},
	}
	seen := map[Verdict]bool{}
	for _, name := range recorded {
		for source, onAbsence := range rests {
			s, e, want := find(t, name), evidenceOf(t, name), Pass
			if onAbsence(s.Expect) {
				want = Inconclusive
			}
			seen[want] = true
			e.lost[source] = 3
			r := NewResult(planOf(t, s), e)
			if r.Verdict != want {
				t.Errorf("%s with lost %s observations: %s: %s, want %s", name, source, r.Verdict, r.Reason, want)
			}
			if want == Inconclusive && !strings.Contains(r.Reason, "up to 3 "+source+" observations were lost") {
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
	for _, name := range recorded {
		e := evidenceOf(t, name)
		e.interrupted = true
		r := NewResult(planOf(t, find(t, name)), e)
		if r.Verdict != Inconclusive || !r.Interrupted {
			t.Errorf("%s as it was: %s", name, r.Verdict)
		}
		for _, c := range r.Expectations {
			if c.Verdict != Inconclusive {
				t.Errorf("%s: %s: %s", name, c.Text, c.Verdict)
			}
		}
		withoutErrors(e)
		if r := NewResult(planOf(t, find(t, name)), e); r.Verdict != Inconclusive {
			t.Errorf("%s without errors: %s", name, r.Verdict)
		}
	}
}

// The reason of a failure names what was expected, what was seen, and the fact that the run waited for in vain.
func TestReasons(t *testing.T) {
	e := evidenceOf(t, multi)
	e.unmet = "1 of 1 connections were not re-routed in 64 rounds"
	r := judged(t, multi, Expect{Outcome: Hang, Errno: "EPIPE"}, e)
	for _, want := range []string{"every connection: hang: connection 1: reset", "first error: EPIPE: connection 1: ECONNRESET", e.unmet} {
		if !strings.Contains(r.Reason, want) {
			t.Errorf("%q is not in the reason: %s", want, r.Reason)
		}
	}
}

// An alternative that cannot be told, because of losses, leaves the whole undecided.
func TestAlternativeInDoubt(t *testing.T) {
	never := []EventsCheck{{Never: []EventPattern{{Type: "DESTROY", By: "expiry"}}}}
	x := Expect{Outcome: Survived, Alternatives: []Alternative{{Reason: "for the test", Expect: Expect{Outcome: Reset, Events: never}}}}
	e := evidenceOf(t, multi)
	if r := judged(t, multi, x, e); r.Verdict != Pass {
		t.Errorf("the alternative holds: %s: %s", r.Verdict, r.Reason)
	}
	e.lost["conntrack"] = 1
	if r := judged(t, multi, x, e); r.Verdict != Inconclusive {
		t.Errorf("the alternative is in doubt: %s: %s", r.Verdict, r.Reason)
	}
}
