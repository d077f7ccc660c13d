package main

import (
	"errors"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/scenario"
)

func TestExitCodeOf(t *testing.T) {
	result := func(v scenario.Verdict) outcome { return outcome{result: &scenario.Result{Verdict: v}} }
	pass, fail, open := result(scenario.Pass), result(scenario.Fail), result(scenario.Inconclusive)
	broken := outcome{err: errors.New("cannot be run")}
	for _, c := range []struct {
		name string
		all  []outcome
		want int
	}{
		{"nothing", nil, exitPass},
		{"all pass", []outcome{pass, pass}, exitPass},
		{"one fails", []outcome{pass, fail, pass}, exitFail},
		{"one is open", []outcome{pass, open}, exitInconclusive},
		{"one cannot be run", []outcome{pass, broken}, exitUnsupported},
		{"a failure outdoes an open one", []outcome{open, fail}, exitFail},
		{"a failure outdoes one that cannot be run", []outcome{broken, fail}, exitFail},
		{"one that cannot be run outdoes an open one", []outcome{open, broken, open}, exitUnsupported},
	} {
		if got := exitCodeOf(c.all); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTally(t *testing.T) {
	all := []outcome{{result: &scenario.Result{Verdict: scenario.Pass}}, {result: &scenario.Result{Verdict: scenario.Inconclusive}},
		{err: errors.New("cannot be run")}, {err: interruption{syscall.SIGINT}}}
	if got, want := tally(all), "4 scenarios: 1 pass, 1 inconclusive, 1 not run, 1 interrupted"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
