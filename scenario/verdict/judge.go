package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/scenario"
)

// Verdict tells whether what the scenario expects was seen.
type Verdict string

// The three answers. What could not be observed is Inconclusive, never Pass.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Check is one thing the scenario expects, and whether it was seen.
type Check struct {
	Text    string  `json:"text"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	// Share is what chance allows if the expectation is a share, nil otherwise; Reason says the same in words.
	Share *Share `json:"share,omitempty"`
}

// Share is how many connections ended in an outcome, and how many may for the probability to be called true.
type Share struct {
	// Seen are those that ended so, Of is how many connections the share is of.
	Seen int `json:"seen"`
	Of   int `json:"of"`
	// AtLeast and AtMost hold all but one in a million runs if the probability is true.
	AtLeast int `json:"at_least"`
	AtMost  int `json:"at_most"`
}

// Judge compares the accounts with what is expected; where that fails and an alternative holds, with the alternative. Of a
// program's connections some may be as expected and the others as an alternative says.
func Judge(p *scenario.Plan, e *evidence.Evidence, accounts []*account.Account) (checks []Check, v Verdict, reason string) {
	checks = checksOf(p.Expect, e, accounts, len(p.Servers))
	missed := unmet(p, e, accounts)
	v, reason = conclude(e, checks, missed)
	rest, shown := accounts, "this kernel shows the alternative"
	if e.External {
		shown = "the alternative is as good"
		if others := otherThan(p.Expect.Outcome, accounts); len(others) > 0 {
			rest = others
		}
	}
	if e.Interrupted && !fault.Is("interrupted-passes") { // what was not seen may have come, and what was good until now may not have stayed so
		for i := range checks {
			checks[i].Verdict, checks[i].Reason = Inconclusive, ""
		}
	}
	for _, a := range p.Expect.Alternatives {
		if v != Fail {
			break
		}
		others := checksOf(a.Expect, e, rest, len(p.Servers))
		if is, why := conclude(e, others, missed); is != Fail { // one in doubt leaves the whole in doubt
			checks = append(others, Check{Text: shown, Verdict: is, Reason: a.Reason})
			v, reason = is, why
		}
	}
	return checks, v, reason
}

// otherThan are the connections that no step has passed by and that did not end so.
func otherThan(o account.Outcome, accounts []*account.Account) []*account.Account {
	return slices.DeleteFunc(opened(accounts), func(a *account.Account) bool { return a.Aside || a.Outcome == o })
}

// unmet is a fact that a step has waited for in vain; empty if there is none. A connection that a step breaks until it is
// re-routed, and that its program closes before, has survived by luck alone.
func unmet(p *scenario.Plan, e *evidence.Evidence, accounts []*account.Account) string {
	if e.Unmet != "" || e.Kept != "" || len(p.Servers) < 2 || !untilRerouted(p.Steps) {
		return e.Unmet
	}
	for _, a := range accounts {
		if a.Outcome == account.Survived && !a.Aside && a.Breaks > 0 && !a.Rerouted() {
			return fmt.Sprintf("connection %d was not re-routed: each fresh pick was the old backend, by luck", a.ID)
		}
	}
	return ""
}

// untilRerouted tells whether steps are repeated until the connections are re-routed.
func untilRerouted(steps scenario.Steps) bool {
	return slices.ContainsFunc(steps, func(s scenario.Step) bool {
		r, is := s.Verb.(*scenario.Repeat)
		return is && (r.Until != "" || untilRerouted(r.Steps))
	})
}

// conclude sums the checks up: one failure is a failure, else one doubt is a doubt. Unmet is a fact that was waited for in
// vain.
func conclude(e *evidence.Evidence, checks []Check, unmet string) (Verdict, string) {
	if e.Interrupted && !fault.Is("interrupted-passes") {
		return Inconclusive, "the run was interrupted before its last step"
	}
	for _, v := range []Verdict{Fail, Inconclusive} {
		reasons := reasons(checks, v)
		if len(reasons) == 0 {
			continue
		}
		if unmet != "" {
			reasons = append(reasons, unmet)
		}
		return v, map[Verdict]string{Fail: "not as expected: ", Inconclusive: "cannot be told: "}[v] + strings.Join(reasons, "; ")
	}
	if unmet != "" {
		return Inconclusive, "cannot be told: " + unmet
	}
	return Pass, ""
}

// notWatched is why a check cannot be told whose source nobody watched.
const notWatched = " was not watched"

// reasons are those of the checks with that verdict, each with the check it is of. What several lack for the same reason
// is said once.
func reasons(checks []Check, v Verdict) []string {
	var out, unwatched []string
	resting := map[string]int{}
	for _, c := range checks {
		switch {
		case c.Verdict != v:
		case strings.HasSuffix(c.Reason, notWatched):
			if resting[c.Reason]++; resting[c.Reason] == 1 {
				unwatched = append(unwatched, c.Reason)
			}
		default:
			out = append(out, c.Text+": "+c.Reason)
		}
	}
	for _, reason := range unwatched {
		out = append(out, fmt.Sprintf("%s, which %s", reason, account.Count(resting[reason], "expectation rests on", "expectations rest on")))
	}
	return out
}
