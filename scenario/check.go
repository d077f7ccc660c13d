package scenario

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// problems are what single fields cannot show: how they fit together.
func (s Scenario) problems() Problems {
	p := &checks{at: s.place}
	if !s.bounded(p) {
		return p.all
	}
	s.checkWorld(p)
	s.checkSteps(p)
	s.checkScale(p)
	s.checkPrograms(p)
	s.checkExpect(p)
	return p.all
}

// worldProblems are those of the world alone.
func (s Scenario) worldProblems() Problems {
	p := &checks{at: s.place}
	s.checkWorld(p)
	s.checkScale(p)
	return p.all
}

// checks collects problems of one scenario.
type checks struct {
	at  Problem
	all Problems
}

func (p *checks) add(field, hint, format string, args ...any) {
	one := p.at
	one.Field, one.Text, one.Hint = strictyaml.Join(one.Field, field), fmt.Sprintf(format, args...), hint
	p.all = append(p.all, one)
}

func (s Scenario) checkWorld(p *checks) {
	if n := s.World.Backends; n < 1 || n > MaxBackends {
		p.add("world.backends", "", "%d backends, want 1 to %d", n, MaxBackends)
	}
	if n := s.World.Connections; n < 1 || n > maxConnections {
		p.add("world.connections", "", "%d connections, want 1 to %d", n, maxConnections)
	}
	if n := s.World.Nodes; n < 2 || n > maxNodes {
		p.add("world.nodes", "", "%d nodes, want 2 to %d", n, maxNodes)
	}
	for _, place := range slices.Sorted(maps.Keys(s.World.Sysctls)) {
		if places := s.places(); !slices.Contains(places, place) {
			p.add("world.sysctls."+place, strictyaml.DidYouMean(place, places), "no such pod or node")
		}
		for _, key := range slices.Sorted(maps.Keys(s.World.Sysctls[place])) {
			if wrong := wrongSysctl(key); wrong != "" {
				p.add("world.sysctls."+place+"."+key, "", "%s", wrong)
			}
		}
	}
	if addr, err := netip.ParseAddr(s.World.Service.ClusterIP); err == nil {
		for _, prefix := range []netip.Prefix{nodeNetwork, clusterCIDR, netip.MustParsePrefix("127.0.0.0/8"),
			netip.MustParsePrefix("224.0.0.0/3"), netip.MustParsePrefix("0.0.0.0/8")} {
			if prefix.Contains(addr) {
				p.add("world.service.clusterIP", "take one of 10.96.0.0/12", "%s lies in %s, which is in use", addr, prefix)
			}
		}
	}
	if s.World.Service.NodePort != 0 && s.World.ClientAt != outside {
		p.add("world.service.nodePort", "set world.client_at: outside", "nobody would use it: the client is in the cluster")
	}
}

func (s Scenario) checkSteps(p *checks) {
	wrongStep := func(step Step, wrong string) {
		if wrong != "" {
			at := step.place
			at.Text = wrong
			p.all = append(p.all, at)
		}
	}
	s.Steps.Walk(func(step Step) {
		wrongStep(step, step.Verb.check(s))
		wrongStep(step, s.notForPrograms(step))
	})
	s.Steps.opened(s.World.Connections, func(step Step, n int) {
		if one, ok := step.Verb.(names); ok && one.connection() > n && !s.externalClient() {
			wrongStep(step, fmt.Sprintf("there is no connection %d then, only %d", one.connection(), n))
		}
	})
	if len(s.Steps) == 0 {
		p.add("steps", "", "the list is empty")
	}
}
