package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/topology"
)

func (r *run) age(_ context.Context, a *scenario.Age, _ []*flow) error {
	if kept, err := r.keptAlive(a.By); kept || err != nil {
		return err
	}
	err := r.eachEntry(func(ns *topology.Namespace, e conntrack.Entry) error {
		if e.Timeout > a.By {
			return conntrack.SetTimeout(ns, e.Original, e.Timeout-a.By)
		}
		return conntrack.Expire(ns, e.Original)
	})
	return errors.Join(err, r.ageAffinities(a.By), r.drain())
}

func (r *run) deleteStale(_ context.Context, _ *scenario.DeleteStale, _ []*flow) error {
	err := r.eachEntry(func(ns *topology.Namespace, e conntrack.Entry) error {
		if e.Original.Dst != r.service() || slices.Contains(r.endpoints, e.Reply.Src) {
			return nil
		}
		return r.deleteEntry(ns, e)
	})
	return errors.Join(err, r.drain())
}

// eachEntry does something to every entry of every node; one that is gone meanwhile is passed over.
func (r *run) eachEntry(do func(*topology.Namespace, conntrack.Entry) error) error {
	for _, node := range r.plan.NodeNames() {
		ns := r.lab.Namespace(node)
		entries, err := conntrack.List(ns)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := do(ns, e); err != nil && !errors.Is(err, conntrack.ErrNotFound) {
				return fmt.Errorf("%s on %s: %w", e.Original, node, err)
			}
		}
	}
	return nil
}
