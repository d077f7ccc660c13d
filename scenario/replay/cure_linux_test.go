package replay

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// cures takes out of each scenario that shows a cure the cure itself: what it expects must then not be seen. None of
// them depends on luck: an entry that expired is an event, and fifty flows do not all return to the pod they came from.
var cures = map[string]func(*scenario.Scenario){
	"keepalive-socket":          func(s *scenario.Scenario) { s.World.Client.Keepalive = nil },
	"keepalive-sysctl":          func(s *scenario.Scenario) { delete(s.World.Sysctls, scenario.PodClient) },
	"keepalive-kernel-defaults": func(s *scenario.Scenario) { s.World.Client.Keepalive = nil },
	"session-affinity":          func(s *scenario.Scenario) { s.World.Service.SessionAffinity = "None" },
	"loose-off-user-timeout":    func(s *scenario.Scenario) { s.World.Client.UserTimeout = 0 },
	"invalid-out-of-window":     func(s *scenario.Scenario) { s.World.KubeProxy.NoInvalidDrop = true },
	"invalid-be-liberal":        func(s *scenario.Scenario) { delete(s.World.Sysctls, "nodes") },
	"half-open-server":          func(s *scenario.Scenario) { s.World.Server.Keepalive = nil },
	"flush-on-server-node":      flushEverywhere,
	"syn-sent-stuck":            without("flush"),
	"udp-stale-endpoint":        without("delete-stale"),
}

// without takes out the steps of one kind.
func without(kind string) func(*scenario.Scenario) {
	return func(s *scenario.Scenario) {
		s.Steps = slices.DeleteFunc(s.Steps, func(step scenario.Step) bool { return step.Name == kind })
	}
}

// flushEverywhere makes every flush one of both nodes.
func flushEverywhere(s *scenario.Scenario) {
	s.Steps.Walk(func(step scenario.Step) {
		if f, ok := step.Verb.(*scenario.Flush); ok {
			f.On = "all"
		}
	})
}

// hurry bounds the waits for facts that will not come without the cure.
func hurry(s *scenario.Scenario) {
	s.Steps.Walk(func(step scenario.Step) {
		if w, ok := step.Verb.(*scenario.Wait); ok && w.Until != "" && w.Until != "entry-gone" {
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
			s := builtin.Find(t, name)
			remove(&s)
			hurry(&s)
			r := replayed(context.Background(), t, s, Options{})
			if r.Verdict != verdict.Fail {
				t.Errorf("%s: %s", r.Verdict, r.Reason)
			}
			t.Log(r.Reason)
		})
	}
}

// The wrong expectation fails on a real run too, and the wait in vain is named.
func TestKernelWrongExpectation(t *testing.T) {
	needKernel(t)
	s := builtin.Find(t, "flush-single-backend")
	s.Expect.Outcome = account.Reset
	r := replayed(context.Background(), t, s, Options{})
	if r.Verdict != verdict.Fail {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

// A run that is ended early gives what it has seen, and no verdict.
func TestKernelInterrupted(t *testing.T) {
	needKernel(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := Options{Observe: func(o evidence.Observation) {
		if o.Source == "step" && o.Kind == "flush" {
			cancel()
		}
	}}
	r := replayed(ctx, t, builtin.Find(t, "flush-multi-backend"), o)
	if r.Verdict != verdict.Inconclusive || !r.Interrupted || len(r.Timeline) == 0 {
		t.Errorf("%s, interrupted %v, %d observations", r.Verdict, r.Interrupted, len(r.Timeline))
	}
}
