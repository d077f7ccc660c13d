package report

import (
	"fmt"

	"github.com/ctsim/ctsim/scenario"
)

// rules writes the rules that packets met, those in bold whose counters moved after the first break.
func (t *text) rules(r *scenario.Result) {
	if !t.o.Verbose || len(r.Rules) == 0 {
		return
	}
	t.title("rules met, packets before the first break → at the end")
	at, count := 0, 0
	for _, rule := range r.Rules {
		at = max(at, columns(Plain(rule.Node)))
		count = max(count, len(counts(rule)))
	}
	for _, rule := range r.Rules {
		line := fmt.Sprintf("  %-*s %*s  -t %s -A %s %s", at, Plain(rule.Node), count, counts(rule), rule.Table, rule.Chain, Plain(rule.Rule))
		if rule.Packets > rule.Before {
			line = t.paint(bold, line)
		}
		t.line("%s", line)
	}
}

func counts(r scenario.RuleCount) string { return fmt.Sprintf("%d → %d", r.Before, r.Packets) }
