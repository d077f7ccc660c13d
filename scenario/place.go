package scenario

import (
	"cmp"
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
)

// drawn is the world as it was planned, and what joined it later, the client's side first.
func (p *Plan) drawn(e *evidence) []Place {
	var out []Place
	add := func(p Place) { out = append(out, p) }
	for _, h := range p.Machines {
		add(Place{Name: h.Name, Kind: "machine", Address: h.Address.String()})
	}
	for _, n := range p.Nodes {
		add(Place{Name: n.Name, Kind: "node", Address: n.Address.String()})
		for _, pod := range p.Pods {
			if pod.Node != n.Name {
				continue
			}
			place := Place{Name: pod.Name, Kind: "pod", Address: pod.Address.String(), Node: n.Name}
			if _, serves := p.Server(pod.Name); serves {
				place.Role = "server"
			}
			add(place)
		}
	}
	for i := range out {
		if out[i].Name == p.Client.At && out[i].Address == p.Client.Address.String() {
			out[i].Role = "client"
		}
	}
	// The client first, then its node, then the other nodes, each with its pods.
	rank := func(place Place) int {
		switch {
		case place.Role == "client":
			return 0
		case place.Kind == "node" && place.Name == p.Nodes[0].Name:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Place) int { return cmp.Compare(rank(a), rank(b)) })
	for _, late := range p.Latecomers {
		if slices.ContainsFunc(e.hops, func(h packet.Hop) bool { return h.At == late.Name }) {
			out = append(out, Place{Name: late.Name, Kind: "pod", Role: "server", Address: late.Address.String(), Node: late.Node})
		}
	}
	return out
}
