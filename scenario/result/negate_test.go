package result_test

import (
	"testing"

	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
)

// TestNegatedExpectations: of what passes, the opposite fails. Each atom of each recorded scenario's expectation is negated by
// itself; four of five must fail, the others be inconclusive for a reason, and none may pass.
func TestNegatedExpectations(t *testing.T) {
	var tally resulttest.Tally
	for _, name := range recorded.Names {
		tally.Negate(builtin.Plan(t, builtin.Find(t, name)), recorded.Of(t, name))
	}
	if wrong := tally.Problem(); wrong != "" {
		t.Error(wrong)
	}
	t.Logf("%d fail, %d are inconclusive", tally.Failed, tally.Inconclusive)
	for _, open := range tally.Open {
		t.Log("  ", open)
	}
	if tally.Failed < 50 {
		t.Errorf("%d negations: the recorded scenarios expect more than that", tally.Failed)
	}
}
