package scenario

import (
	"context"
	"slices"
	"testing"
	"time"
)

// cures takes out of each scenario that shows a cure the cure itself: what it expects must then not be seen. None of
// them depends on luck: an entry that expired is an event, and fifty flows do not all return to the pod they came from.
var cures = map[string]func(*Scenario){
	"keepalive-socket":          func(s *Scenario) { s.World.Client.Keepalive = nil },
	"keepalive-sysctl":          func(s *Scenario) { delete(s.World.Sysctls, podClient) },
	"keepalive-kernel-defaults": func(s *Scenario) { s.World.Client.Keepalive = nil },
	"session-affinity":          func(s *Scenario) { s.World.Service.SessionAffinity = "None" },
	"loose-off-user-timeout":    func(s *Scenario) { s.World.Client.UserTimeout = 0 },
	"invalid-out-of-window":     func(s *Scenario) { s.World.KubeProxy.NoInvalidDrop = true },
	"invalid-be-liberal":        func(s *Scenario) { delete(s.World.Sysctls, "nodes") },
	"half-open-server":          func(s *Scenario) { s.World.Server.Keepalive = nil },
	"flush-on-server-node":      flushEverywhere,
	"syn-sent-stuck":            without("flush"),
	"udp-stale-endpoint":        without("delete-stale"),
}

// without takes out the steps of one kind.
func without(kind string) func(*Scenario) {
	return func(s *Scenario) {
		s.Steps = slices.DeleteFunc(s.Steps, func(step Step) bool { return step.Name == kind })
	}
}

// flushEverywhere makes every flush one of both nodes.
func flushEverywhere(s *Scenario) {
	s.Steps.Walk(func(step Step) {
		if f, ok := step.action.(*flushStep); ok {
			f.On = "all"
		}
	})
}

// hurry bounds the waits for facts that will not come without the cure.
func hurry(s *Scenario) {
	s.Steps.Walk(func(step Step) {
		if w, ok := step.action.(*waitStep); ok && w.Until != "" && w.Until != "entry-gone" {
			w.AtMost = 3 * time.Second
		}
	})
}

// Without its cure a scenario fails: it is the cure that helps, and the expectations notice.
func TestKernelCuresAreNeeded(t *testing.T) {
	needKernel(t)
	for name, remove := range cures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t, name)
			remove(&s)
			hurry(&s)
			r := replayed(context.Background(), t, s, Options{})
			if r.Verdict != Fail {
				t.Errorf("%s: %s", r.Verdict, r.Reason)
			}
			t.Log(r.Reason)
		})
	}
}

// The wrong expectation fails on a real run too, and the wait in vain is named.
func TestKernelWrongExpectation(t *testing.T) {
	needKernel(t)
	s := fresh(t, "flush-single-backend")
	s.Expect.Outcome = Reset
	r := replayed(context.Background(), t, s, Options{})
	if r.Verdict != Fail {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

// A run that is ended early gives what it has seen, and no verdict.
func TestKernelInterrupted(t *testing.T) {
	needKernel(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := Options{Observe: func(o Observation) {
		if o.Source == "step" && o.Kind == "flush" {
			cancel()
		}
	}}
	r := replayed(ctx, t, fresh(t, multi), o)
	if r.Verdict != Inconclusive || !r.Interrupted || len(r.Timeline) == 0 {
		t.Errorf("%s, interrupted %v, %d observations", r.Verdict, r.Interrupted, len(r.Timeline))
	}
}
