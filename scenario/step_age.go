package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
)

// ageStep moves every conntrack entry forward in time without waiting: its remaining time is shortened through
// ctnetlink, and one that has none left is looked up, upon which the kernel destroys it as expired.
type ageStep struct {
	By time.Duration `yaml:"by,required" short:"yes" min:"1s" max:"1000h" doc:"How long the connections are idle."`
}

func (a *ageStep) describe() string { return "age every conntrack entry by " + a.By.String() }

// check refuses to age where it would lie: a keepalive probe would have gone out in between and refreshed the entry.
func (a *ageStep) check(s Scenario) string {
	for _, side := range []struct {
		name   string
		p      Program
		places []string
	}{{"client", s.World.Client, []string{"pods", podClient}}, {"server", s.World.Server, []string{"pods", "servers"}}} {
		if idle := s.keepaliveIdle(side.p, side.places...); idle > 0 && idle <= a.By {
			return fmt.Sprintf("ageing by %s would lie: the %s's keepalive sends a probe after %s; wait instead, with time_scale",
				a.By, side.name, idle)
		}
	}
	return ""
}

func (a *ageStep) run(_ context.Context, r *run, _ []*flow) error {
	by := r.scenario.here(a.By, time.Second)
	if kept, err := r.keptAlive(by); kept || err != nil {
		return err
	}
	for _, node := range r.scenario.nodeNames() {
		ns := r.lab.Namespace(node)
		entries, err := conntrack.List(ns)
		if err != nil {
			return fmt.Errorf("age: read the conntrack table of %s: %w", node, err)
		}
		for _, e := range entries {
			if e.Timeout > by {
				err = conntrack.SetTimeout(ns, e.Original, e.Timeout-by)
			} else {
				err = conntrack.Expire(ns, e.Original)
			}
			if err != nil && !errors.Is(err, conntrack.ErrNotFound) {
				return fmt.Errorf("age %s on %s: %w", e.Original, node, err)
			}
		}
	}
	return r.drain()
}

// deleteStaleStep deletes the entries whose reply would come from a pod that is no endpoint any more. kube-proxy does
// this for UDP (pkg/proxy/conntrack), and leaves TCP alone.
type deleteStaleStep struct{}

func (*deleteStaleStep) describe() string {
	return "delete the entries that lead to a pod which is no endpoint any more, as kube-proxy does for UDP"
}

func (*deleteStaleStep) check(Scenario) string { return "" }

func (*deleteStaleStep) run(_ context.Context, r *run, _ []*flow) error {
	for _, node := range r.scenario.nodeNames() {
		ns := r.lab.Namespace(node)
		entries, err := conntrack.List(ns)
		if err != nil {
			return fmt.Errorf("read the conntrack table of %s: %w", node, err)
		}
		for _, e := range entries {
			if e.Original.Dst != r.service() || slices.Contains(r.endpoints, e.Reply.Src) {
				continue
			}
			if err := r.deleteEntry(ns, e); err != nil {
				return fmt.Errorf("delete %s on %s: %w", e.Original, node, err)
			}
		}
	}
	return r.drain()
}
