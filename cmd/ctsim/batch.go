package main

import (
	"context"
	"sync"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/replay"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// outcome is what became of one scenario of a batch: a result, or the reason why there is none.
type outcome struct {
	name   string
	result *result.Result
	err    error
}

// batch is several scenarios being run side by side, each in a world of its own.
type batch struct {
	outcomes []outcome
	ready    []chan struct{}
	workers  sync.WaitGroup
}

// startBatch runs the scenarios in their order, up to parallel of them at a time. One that cannot be run does not stop
// the others; when ctx is cancelled the rest is not started. Ended is called after each, before its outcome is out.
func startBatch(ctx context.Context, plans []*scenario.Plan, parallel int,
	options func(*scenario.Plan) replay.Options, ended func(*scenario.Plan)) *batch {
	b := &batch{outcomes: make([]outcome, len(plans)), ready: make([]chan struct{}, len(plans))}
	next := make(chan int, len(plans))
	for i := range plans {
		b.ready[i] = make(chan struct{})
		next <- i
	}
	close(next)
	for range min(parallel, len(plans)) {
		b.workers.Go(func() {
			for i := range next {
				p := plans[i]
				b.outcomes[i] = runOne(ctx, p, options(p))
				ended(p)
				close(b.ready[i])
			}
		})
	}
	return b
}

func runOne(ctx context.Context, p *scenario.Plan, o replay.Options) outcome {
	if ctx.Err() != nil {
		return outcome{name: p.Scenario, err: context.Cause(ctx)}
	}
	e, err := replay.Run(ctx, p, o)
	if cmdline.InterruptedBy(ctx, err); err != nil && ctx.Err() != nil {
		// Whatever failed, it failed because the run was being ended: Ctrl-C reaches iptables as well as ctsim.
		err = context.Cause(ctx)
	}
	if err != nil {
		return outcome{name: p.Scenario, err: err}
	}
	return outcome{name: p.Scenario, result: result.New(p, e)}
}

// outcome waits for the i-th scenario to end.
func (b *batch) outcome(i int) outcome {
	<-b.ready[i]
	return b.outcomes[i]
}

// wait waits for all of them.
func (b *batch) wait() { b.workers.Wait() }

// exitCodeOf is the code of a batch: a scenario that failed is what most needs to be known, then one that could not be
// run, then one without an answer.
func exitCodeOf(outcomes []outcome) int {
	code := cmdline.ExitPass
	for _, o := range outcomes {
		switch {
		case o.err == nil && o.result.Verdict == verdict.Fail:
			return cmdline.ExitFail
		case o.err != nil:
			code = cmdline.ExitUnsupported
		case o.result.Verdict != verdict.Pass && code == cmdline.ExitPass:
			code = cmdline.ExitInconclusive
		}
	}
	return code
}
