package result

import (
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// TestCommandsAreChecked: a command that fails or dies of a signal makes the verdict fail, each time that it is run,
// unless it may; one that was not run, or printed more than is kept, is inconclusive.
func TestCommandsAreChecked(t *testing.T) {
	ran := func(exit int, signal, output string, cut bool) evidence.Deed {
		return evidence.Deed{Kind: "exec", Exec: &evidence.Execution{Number: 1, Exit: exit, Signal: signal, Output: output, Cut: cut}}
	}
	good := ran(0, "", "a line\n", false)
	for name, c := range map[string]struct {
		mayFail bool
		check   []scenario.ExecCheck
		deeds   []evidence.Deed
		want    verdict.Verdict
	}{
		"succeeds":                   {deeds: []evidence.Deed{good}, want: verdict.Pass},
		"fails":                      {deeds: []evidence.Deed{ran(1, "", "", false)}, want: verdict.Fail},
		"fails the second time":      {deeds: []evidence.Deed{good, ran(1, "", "", false)}, want: verdict.Fail},
		"fails the first time":       {deeds: []evidence.Deed{ran(1, "", "", false), good}, want: verdict.Fail},
		"dies":                       {deeds: []evidence.Deed{ran(137, "SIGKILL", "", false)}, want: verdict.Fail},
		"was not run":                {want: verdict.Inconclusive},
		"may fail":                   {mayFail: true, deeds: []evidence.Deed{ran(1, "", "", false)}, want: verdict.Pass},
		"must fail":                  {check: []scenario.ExecCheck{{Number: 1, Exit: new(1)}}, deeds: []evidence.Deed{ran(1, "", "", false)}, want: verdict.Pass},
		"must fail, succeeds":        {check: []scenario.ExecCheck{{Number: 1, Exit: new(1)}}, deeds: []evidence.Deed{good}, want: verdict.Fail},
		"a signal is no exit code":   {check: []scenario.ExecCheck{{Number: 1, Exit: new(137)}}, deeds: []evidence.Deed{ran(137, "SIGKILL", "", false)}, want: verdict.Fail},
		"prints":                     {check: []scenario.ExecCheck{{Number: 1, Output: "line"}}, deeds: []evidence.Deed{good}, want: verdict.Pass},
		"prints something else":      {check: []scenario.ExecCheck{{Number: 1, Output: "two"}}, deeds: []evidence.Deed{good}, want: verdict.Fail},
		"prints, fails":              {check: []scenario.ExecCheck{{Number: 1, Output: "line"}}, deeds: []evidence.Deed{ran(1, "", "line", false)}, want: verdict.Fail},
		"may fail, prints":           {mayFail: true, check: []scenario.ExecCheck{{Number: 1, Output: "line"}}, deeds: []evidence.Deed{ran(1, "", "line", false)}, want: verdict.Pass},
		"may print it further on":    {check: []scenario.ExecCheck{{Number: 1, Output: "two"}}, deeds: []evidence.Deed{ran(0, "", "line", true)}, want: verdict.Inconclusive},
		"only another was run":       {deeds: []evidence.Deed{{Kind: "exec", Exec: &evidence.Execution{Number: 2}}}, want: verdict.Inconclusive},
		"a deed that is no command":  {deeds: []evidence.Deed{{Kind: "step"}}, want: verdict.Inconclusive},
		"check of a may-fail passes": {mayFail: true, check: []scenario.ExecCheck{{Number: 1, Exit: new(0)}}, deeds: []evidence.Deed{good}, want: verdict.Pass},
	} {
		s := builtin.Find(t, multi)
		s.Steps = append(s.Steps[:len(s.Steps):len(s.Steps)], scenario.Step{Name: "exec",
			Verb: &scenario.Exec{In: "client", Command: []string{"look"}, MayFail: c.mayFail}})
		s.Expect = scenario.Expect{Outcome: account.Reset, Exec: c.check}
		e := recorded.Of(t, multi)
		e.Deeds = append(e.Deeds, c.deeds...)
		if got := New(s.Settle(), e); got.Verdict != c.want {
			t.Errorf("%s: %s: %s, want %s", name, got.Verdict, got.Reason, c.want)
		}
		// An alternative does not let it off.
		s.Expect = scenario.Expect{Outcome: account.Hang, Alternatives: []scenario.Alternative{{Reason: "for the test", Expect: s.Expect}}}
		if got := New(s.Settle(), e); got.Verdict != c.want {
			t.Errorf("%s, as an alternative: %s: %s, want %s", name, got.Verdict, got.Reason, c.want)
		}
	}
}
