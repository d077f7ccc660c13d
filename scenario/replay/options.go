package replay

import (
	"context"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
)

// Options change how a scenario is run. The zero value runs it as it is written.
type Options struct {
	// Flavour of iptables to use; empty is the machine's default.
	Flavour string
	// Watch is what to watch; nil is everything. An expectation that needs what is not watched is then inconclusive.
	Watch []evidence.Source
	// Rootless tells that the run is made in a user namespace: the result says so, and other terminals have to go there.
	Rootless bool
	// Sudo tells that whoever looks at a Pause types commands as a user who needs sudo to be what this process is.
	Sudo bool
	// Observe is given every observation as it is made, from one goroutine at a time, in the order of arrival; the
	// result's timeline is the one in the order of time. Nil is allowed.
	Observe func(evidence.Observation)
	// Before is called before each step, those inside a repeat too, while nothing else of the run goes on; for the kernel
	// and its timers time goes on. Its error ends the run, but for ErrSkip, which leaves the step out. Nil is allowed.
	Before func(context.Context, *Pause) error
	// Progress is told what the run is waiting for, from one goroutine at a time. Nil is allowed.
	Progress func(Progress)
}

// watches tells whether a source is to be watched.
func (o Options) watches(s evidence.Source) bool {
	return o.Watch == nil || slices.Contains(o.Watch, s)
}

// Progress tells a person what a run is waiting for.
type Progress struct {
	// Step counts from 1 to Steps; 0 while the world is built.
	Step, Steps int
	Text        string
	// Left is what is left of a wait; 0 if it is not known.
	Left time.Duration
}
