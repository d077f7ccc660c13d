package scenario

import (
	"cmp"
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
)

// drawn is the world as it was planned, and what joined it later, the client's side first.
func (s Scenario) drawn(e *evidence) []Place {
	var out []Place
	clientAt, address := s.client()
	add := func(p Place) { out = append(out, p) }
	plan := s.topology()
	for _, h := range plan.Hosts {
		add(Place{Name: h.Name, Kind: "machine", Address: h.Address.String()})
	}
	for _, n := range plan.Nodes {
		add(Place{Name: n.Name, Kind: "node", Address: n.Address.String()})
		for _, p := range n.Pods {
			place := Place{Name: p.Name, Kind: "pod", Address: p.Address.String(), Node: n.Name}
			if p.Name != podClient {
				place.Role = "server"
			}
			add(place)
		}
	}
	for i := range out {
		if out[i].Name == clientAt && out[i].Address == address.String() {
			out[i].Role = "client"
		}
	}
	// The client first, then its node, then the other nodes, each with its pods.
	rank := func(p Place) int {
		switch {
		case p.Role == "client":
			return 0
		case p.Kind == "node" && p.Name == nodeMaster:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Place) int { return cmp.Compare(rank(a), rank(b)) })
	return append(out, s.latecomers(e)...)
}

// latecomers are pods that were started by a step.
func (s Scenario) latecomers(e *evidence) []Place {
	var out []Place
	s.Steps.walk(func(step Step) {
		t, ok := step.action.(*takeAddressStep)
		if !ok || !slices.ContainsFunc(e.hops, func(h packet.Hop) bool { return h.At == stranger }) {
			return
		}
		i := s.serverNumber(t.Of)
		out = append(out, Place{Name: stranger, Kind: "pod", Role: "server", Address: s.serverAddress(i).String(),
			Node: s.serverNode(i)})
	})
	return out
}
