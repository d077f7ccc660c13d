package replay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// proxies are what plays kube-proxy: the rules of every node, and what tells which of them packets meet.
type proxies struct {
	*world
	mode dataplane.Mode
	// endpoints are the service's at the moment.
	endpoints []netip.AddrPort
	// rules are those of each node, tracers follow packets through them; both are made under mu.
	rules   map[string]dataplane.Node
	tracers map[string]*rulepath.Watcher
	// savedBefore is iptables-save -c of each node before the first break.
	savedBefore map[string]string
}

func newProxies(w *world, mode dataplane.Mode) proxies {
	return proxies{world: w, mode: mode, endpoints: slices.Clone(w.plan.Service.Endpoints),
		rules: map[string]dataplane.Node{}, tracers: map[string]*rulepath.Watcher{}}
}

// install puts kube-proxy's rules into both nodes at the same time.
func (x *proxies) install(context.Context) error {
	return x.onNodes(func(name string, rs dataplane.Rules) error {
		node, err := x.mode.Open(x.lab.Namespace(name))
		if err != nil {
			return err
		}
		x.mu.Lock()
		x.rules[name] = node
		x.mu.Unlock()
		if err := node.Install(rs); err != nil {
			return err
		}
		return x.trace(name, rs)
	})
}

// sync changes the rules of both nodes to the endpoints of the moment, as kube-proxy does.
func (x *proxies) sync() error {
	before, err := x.counted()
	if err != nil {
		return err
	}
	err = x.onNodes(func(name string, rs dataplane.Rules) error {
		if err := x.rules[name].Sync(rs); err != nil {
			return err
		}
		return x.learn(name, rs)
	})
	if err != nil {
		return err
	}
	return x.keepGone(before)
}

// onNodes does something to the rules of every node, side by side, with the rules for the endpoints of the moment.
func (x *proxies) onNodes(do func(node string, rs dataplane.Rules) error) error {
	svc := x.plan.Service
	svc.Endpoints = x.endpoints
	rs := x.mode.Rules(x.plan.Proxy, svc)
	var g errgroup.Group // what ails one node ails the others: saying it once is enough
	for _, name := range x.plan.NodeNames() {
		g.Go(func() error {
			if err := do(name, rs); err != nil {
				return fmt.Errorf("rules on %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}
