package main

import (
	"errors"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

func TestExitCodeOf(t *testing.T) {
	result := func(v verdict.Verdict) outcome { return outcome{result: &result.Result{Verdict: v}} }
	pass, fail, open := result(verdict.Pass), result(verdict.Fail), result(verdict.Inconclusive)
	broken := outcome{err: errors.New("cannot be run")}
	for _, c := range []struct {
		name string
		all  []outcome
		want int
	}{
		{"nothing", nil, cmdline.ExitPass},
		{"all pass", []outcome{pass, pass}, cmdline.ExitPass},
		{"one fails", []outcome{pass, fail, pass}, cmdline.ExitFail},
		{"one is open", []outcome{pass, open}, cmdline.ExitInconclusive},
		{"one cannot be run", []outcome{pass, broken}, cmdline.ExitUnsupported},
		{"a failure outdoes an open one", []outcome{open, fail}, cmdline.ExitFail},
		{"a failure outdoes one that cannot be run", []outcome{broken, fail}, cmdline.ExitFail},
		{"one that cannot be run outdoes an open one", []outcome{open, broken, open}, cmdline.ExitUnsupported},
	} {
		if got := exitCodeOf(c.all); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTally(t *testing.T) {
	all := []outcome{{result: &result.Result{Verdict: verdict.Pass}}, {result: &result.Result{Verdict: verdict.Inconclusive}},
		{err: errors.New("cannot be run")}, {err: cmdline.Interruption{Signal: syscall.SIGINT}}}
	if got, want := tally(all), "4 scenarios: 1 pass, 1 inconclusive, 1 not run, 1 interrupted"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
