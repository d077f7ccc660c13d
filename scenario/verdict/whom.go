package verdict

import (
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/fault"
)

func differs(got, want string) string {
	if got == want {
		return ""
	}
	if got == "" {
		got = "none"
	}
	return got
}

// nobody is why an expectation cannot be told that turned out to cover no connection: there was none, or those that a
// program had were not tested.
func (c *checker) nobody() string {
	var why []string
	for _, a := range c.all {
		if a.Untested != "" {
			why = append(why, fmt.Sprintf("connection %d was not tested: %s", a.ID, a.Untested))
		}
	}
	switch {
	case len(why) == 0:
		return noSuch
	case len(why) > 2:
		return fmt.Sprintf("%s, and %d more were not", why[0], len(why)-1)
	}
	return strings.Join(why, ", ")
}

// noSuch is why an expectation cannot be told of a connection that was never there.
const noSuch = "there was no such connection"

// each is an expectation that every connection must meet; wrong tells how one does not.
func (c *checker) each(wrong func(*account.Account) string) {
	check, bad := c.last(), 0
	if len(c.accounts) == 0 && !fault.Is("empty-set-passes") {
		check.Verdict, check.Reason = Inconclusive, c.nobody()
		return
	}
	for i, a := range c.accounts {
		if fault.Is("last-is-spared") && i == len(c.accounts)-1 {
			break
		}
		if w := wrong(a); w != "" {
			if bad++; bad == 1 {
				check.Verdict, check.Reason = Fail, fmt.Sprintf("connection %d: %s", a.ID, w)
			}
		}
	}
	if fault.Is("one-is-enough") && bad < len(c.accounts) {
		check.Verdict = Pass
	}
	if bad > 1 {
		check.Reason += fmt.Sprintf(" (and %d more of %d connections)", bad-1, len(c.accounts))
	}
}

// eachTold is each of an expectation that rests on what became of a connection. Where that cannot be told, or where a
// connection that no break has tested is not as expected, it is neither what was expected nor anything else: unless another
// connection fails it, the answer is Inconclusive.
func (c *checker) eachTold(wrong func(*account.Account) string) {
	var untold *account.Account
	c.each(func(a *account.Account) string {
		if a.Outcome != account.Unknown && (a.Untested == "" || wrong(a) == "") {
			return wrong(a)
		}
		if untold == nil {
			untold = a
		}
		return ""
	})
	if check := c.last(); untold != nil && check.Verdict == Pass {
		why := because(untold, "it cannot be told what became of it")
		if untold.Untested != "" {
			why = "it was not tested: " + untold.Untested
		}
		check.Verdict, check.Reason = Inconclusive, fmt.Sprintf("connection %d: %s", untold.ID, why)
	}
}

// because adds the items that an outcome rests on; what is right needs none.
func because(a *account.Account, wrong string) string {
	if why := a.Balance.Why(); wrong != "" && why != "" {
		return wrong + " (" + why + ")"
	}
	return wrong
}

// doubt turns the last check's answer into Inconclusive if its source was not watched, or if it rests on something not
// having been seen while the source has lost observations: what is missing may be among them.
func (c *checker) doubt(source string, restsOnAbsence bool) {
	last := c.last()
	if len(c.accounts) == 0 && !fault.Is("empty-set-passes") {
		return
	}
	if c.e.Unwatched[evidence.Source(source)] && !fault.Is("unwatched-passes") {
		last.Verdict, last.Reason = Inconclusive, source+notWatched
		return
	}
	if n := c.e.Lost[source]; n > 0 && restsOnAbsence && !fault.Is("loss-ignored") {
		last.Verdict = Inconclusive
		last.Reason = strings.TrimPrefix(fmt.Sprintf("%s; up to %d %s observations were lost", last.Reason, n, source), "; ")
	}
}
