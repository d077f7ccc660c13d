package replay

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
	"github.com/ctsim/ctsim/scenario/verdict"
)

func needKernel(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" {
		t.Fatal("kernel test not run as root")
	}
	t.Skip("kernel tests need root or `unshare -Urnm`")
}

// Every built-in scenario passes, all at once in worlds of their own.
func TestKernelLibraryPasses(t *testing.T) {
	needKernel(t)
	for _, s := range builtin.Library(t).Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			p := builtin.Plan(t, s)
			before := planText(t, p)
			e, err := Run(context.Background(), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if after := planText(t, p); after != before {
				t.Errorf("the run has written to its plan: it was\n%s\nand is\n%s", before, after)
			}
			r := result.New(p, e)
			if r.Verdict != verdict.Pass {
				t.Errorf("%s: %s", r.Verdict, r.Reason)
			}
			if err := resulttest.Resting(r); err != nil {
				t.Error(err)
			}
			if t.Failed() || testing.Verbose() {
				t.Log(r.Reason)
				for _, c := range r.Cause {
					t.Log("  ", c)
				}
				for _, p := range r.Phases {
					t.Logf("   %-10s %6.1f ms", p.Name, p.Seconds*1000)
				}
			}
			if t.Failed() {
				for _, o := range r.Timeline {
					t.Logf("%.6f %d %-9s %-8s %-8s %s %s", o.T, o.Connection, o.Source, o.At, o.Kind, o.Text, o.By)
				}
			}
		})
	}
}

func planText(t testing.TB, p *scenario.Plan) string {
	t.Helper()
	text, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestKernelOnePlanManyRuns: one plan is run several times at once, which the race detector watches. The scenarios are
// those whose steps look at most of what a plan holds: packets that are waited for, repeats, endpoints, latecomers.
func TestKernelOnePlanManyRuns(t *testing.T) {
	needKernel(t)
	library := builtin.Library(t)
	for _, name := range []string{"flush-multi-backend", "keepalive-on-node", "pod-ip-reuse", "endpoint-removed", "keepalive-sysctl"} {
		s, ok := library.Find(name)
		if !ok {
			t.Fatalf("there is no built-in scenario %s", name)
		}
		p := builtin.Plan(t, s)
		for i := range 3 {
			t.Run(fmt.Sprint(name, " ", i+1), func(t *testing.T) {
				t.Parallel()
				e, err := Run(context.Background(), p, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if r := result.New(p, e); r.Verdict != verdict.Pass {
					t.Errorf("%s: %s", r.Verdict, r.Reason)
				}
			})
		}
	}
}

// replayed runs a scenario and makes the result of what was seen.
func replayed(ctx context.Context, t testing.TB, s scenario.Scenario, o Options) *result.Result {
	t.Helper()
	p := builtin.Plan(t, s)
	e, err := Run(ctx, p, o)
	if err != nil {
		t.Fatal(err)
	}
	return result.New(p, e)
}
