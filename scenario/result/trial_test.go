package result

import (
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// TestTrialVerdict: a trial passes only where each connection that the break has met has survived, other than by luck, or
// was replaced; and its example is one that the verdict is about.
func TestTrialVerdict(t *testing.T) {
	one := func(o account.Outcome) *account.Account {
		a := &account.Account{Connection: account.Connection{Outcome: o, Breaks: 1, Backends: []string{"server-1", "server-2"}}}
		a.Flow.Since = time.Unix(1e9, 0)
		return a
	}
	untested := func(o account.Outcome, why string) *account.Account {
		a := one(o)
		a.Untested, a.Aside, a.Breaks = why, why != account.ClosedUnused, 0
		return a
	}
	lucky := one(account.Survived)
	lucky.Backends = []string{"server-1", "server-1"}
	all := func(a ...*account.Account) []*account.Account { return a }
	for _, c := range []struct {
		name     string
		expect   account.Outcome
		backends int
		kept     string
		accounts []*account.Account
		want     verdict.Verdict
		example  int
		reason   string
	}{
		{"survived", "", 2, "", all(one(account.Survived)), verdict.Pass, 1, ""},
		{"reconnected", "", 2, "", all(one(account.Reconnected)), verdict.Pass, 1, ""},
		{"reset", "", 2, "", all(one(account.Reset)), verdict.Fail, 1, ""},
		{"one survived, one was replaced", "", 2, "", all(one(account.Survived), one(account.Reconnected)), verdict.Pass, 2, ""},
		{"one was replaced, one is dead", "", 2, "", all(one(account.Reconnected), one(account.Reset)), verdict.Fail, 2, ""},
		{"one is not known, one is dead", "", 2, "", all(one(account.Unknown), one(account.Hang)), verdict.Fail, 2, ""},
		{"one was replaced, of one it is not known", "", 2, "", all(one(account.Reconnected), one(account.Unknown)), verdict.Inconclusive, 1, ""},
		{"closed before", "", 2, "", all(untested(account.Closed, account.ClosedBefore)), verdict.Inconclusive, 1,
			"connection 1 was not tested: its program had closed it before the break"},
		{"closed before, closed expected", account.Closed, 2, "", all(untested(account.Closed, account.ClosedBefore)), verdict.Inconclusive, 1, "not tested"},
		{"closed before, and survived after", "", 2, "", all(untested(account.Survived, account.ClosedBefore), untested(account.Survived, account.OpenedAfter)),
			verdict.Inconclusive, 1, "connection 2 was not tested: it was opened after the break"},
		{"three untested", "", 2, "", all(untested(account.Closed, account.ClosedBefore), untested(account.Closed, account.OpenedAfter), untested(account.Closed, account.OpenedAfter)),
			verdict.Inconclusive, 1, "before the break, and 2 more were not"},
		{"one closed before, one survived", "", 2, "", all(untested(account.Closed, account.ClosedBefore), one(account.Survived)), verdict.Pass, 2, ""},
		{"one closed before, one reset", "", 2, "", all(untested(account.Closed, account.ClosedBefore), one(account.Reset)), verdict.Fail, 2, ""},
		{"closed unused", "", 2, "", all(untested(account.Closed, account.ClosedUnused)), verdict.Inconclusive, 1, "without having used it again"},
		{"closed unused, as expected", account.Closed, 2, "", all(untested(account.Closed, account.ClosedUnused)), verdict.Pass, 1, ""},
		{"closed unused, a reset expected", account.Reset, 2, "", all(untested(account.Closed, account.ClosedUnused)), verdict.Inconclusive, 1, ""},
		{"survived by luck", "", 2, "", all(lucky), verdict.Inconclusive, 1, "connection 1 was not re-routed: each fresh pick was the old backend, by luck"},
		{"survived by luck, one is dead", "", 2, "", all(lucky, one(account.Reset)), verdict.Fail, 2, ""},
		{"one survived by luck, one was replaced", "", 2, "", all(lucky, one(account.Reconnected)), verdict.Inconclusive, 2, "by luck"},
		{"one backend, no luck", "", 1, "", all(lucky), verdict.Pass, 1, ""},
		{"its entry was renewed", "", 2, "a probe", all(lucky), verdict.Pass, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := scenario.Trial{Client: "c", Server: "s", Port: 2222, Backends: c.backends, Fault: "flush", Timeout: time.Hour, Quiet: time.Second,
				Hold: time.Second, Ready: time.Second, Expect: c.expect}.Scenario()
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.Plan(scenario.Size{})
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range c.accounts {
				a.ID = i + 1
			}
			e := &evidence.Evidence{World: evidence.World{External: true}, Kept: c.kept}
			_, v, reason := verdict.Judge(p, e, c.accounts)
			if v != c.want || !strings.Contains(reason, c.reason) {
				t.Errorf("%s: %s; want %s with %q", v, reason, c.want, c.reason)
			}
			if got := example(p, e, c.accounts, v); got.ID != c.example {
				t.Errorf("the example is connection %d, want %d", got.ID, c.example)
			}
		})
	}
}
