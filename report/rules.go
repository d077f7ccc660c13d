package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
)

// rules writes the rules that packets met, those in bold whose counters moved after the first break.
func (t *text) rules(r *result.Result) {
	if !t.o.Verbose {
		t.askedAgain(r)
		return
	}
	if len(r.Rules) == 0 {
		return
	}
	t.title("rules met, packets before the first break → at the end")
	at, count := 0, 0
	for _, rule := range r.Rules {
		at = max(at, columns(printable.Line(rule.Node)))
		count = max(count, len(counts(rule)))
	}
	for _, rule := range r.Rules {
		line := fmt.Sprintf("  %-*s %*s  -t %s -A %s %s", at, printable.Line(rule.Node), count, counts(rule),
			printable.Line(rule.Table), printable.Line(rule.Chain), printable.Line(rule.Rule))
		if rule.Packets > rule.Before {
			line = t.paint(bold, line)
		}
		t.line("%s", line)
	}
}

// askedAgain writes, where no packet's way through the rules was followed, the counters that prove the same: those of
// the nat table that moved after the first break, although no connection was new.
func (t *text) askedAgain(r *result.Result) {
	broken := slices.ContainsFunc(r.Connections, func(c account.Connection) bool { return c.Breaks > 0 })
	followed := slices.ContainsFunc(r.Timeline, func(o evidence.Observation) bool { return o.Source == "rule" })
	if !broken || followed {
		return
	}
	titled := false
	for _, rule := range r.Rules {
		if rule.Packets == rule.Before || !rule.Decides {
			continue
		}
		if !titled {
			t.title("rules of the nat table met after the first break, packets before it → at the end")
			titled = true
		}
		first := fmt.Sprintf("  %s  %s  ", printable.Line(rule.Node), counts(rule))
		t.wrapped(first, strings.Repeat(" ", min(columns(first), t.width/4)), "-A "+rule.Chain+" "+rule.Rule)
	}
}

func counts(r account.RuleCount) string { return fmt.Sprintf("%d → %d", r.Before, r.Packets) }
