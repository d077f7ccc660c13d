package replay

import (
	"context"
	"os"
	"testing"

	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// TestKernelNegatedExpectations does to fresh runs of all built-in scenarios what TestNegatedExpectations does to recorded ones.
func TestKernelNegatedExpectations(t *testing.T) {
	needKernel(t)
	if os.Getenv("CTSIM_TEST_LONG") != "1" {
		t.Skip("set CTSIM_TEST_LONG=1 to run every scenario once more")
	}
	var tally resulttest.Tally
	for _, s := range builtin.Library(t).Scenarios {
		p := builtin.Plan(t, s)
		e, err := Run(context.Background(), p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r := result.New(p, e); r.Verdict != verdict.Pass {
			t.Errorf("%s: %s: %s", s.Name, r.Verdict, r.Reason)
			continue
		}
		tally.Negate(p, e)
	}
	if wrong := tally.Problem(); wrong != "" {
		t.Error(wrong)
	}
	t.Logf("%d fail, %d are inconclusive", tally.Failed, tally.Inconclusive)
	for _, open := range tally.Open {
		t.Log("  ", open)
	}
}
