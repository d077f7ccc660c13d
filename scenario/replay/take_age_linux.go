package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario"
)

func (r *run) age(_ context.Context, a *scenario.Age, _ []*flow) error {
	if kept, err := r.keptAlive(a.By); kept || err != nil {
		return err
	}
	for _, node := range r.plan.NodeNames() {
		ns := r.lab.Namespace(node)
		entries, err := conntrack.List(ns)
		if err != nil {
			return fmt.Errorf("age: read the conntrack table of %s: %w", node, err)
		}
		for _, e := range entries {
			if e.Timeout > a.By {
				err = conntrack.SetTimeout(ns, e.Original, e.Timeout-a.By)
			} else {
				err = conntrack.Expire(ns, e.Original)
			}
			if err != nil && !errors.Is(err, conntrack.ErrNotFound) {
				return fmt.Errorf("age %s on %s: %w", e.Original, node, err)
			}
		}
	}
	return errors.Join(r.ageAffinities(a.By), r.drain())
}

func (r *run) deleteStale(_ context.Context, _ *scenario.DeleteStale, _ []*flow) error {
	for _, node := range r.plan.NodeNames() {
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
