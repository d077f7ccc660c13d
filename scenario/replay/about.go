package replay

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
)

// about is what evidence has to know of a plan's world: who is who in it.
func about(p *scenario.Plan) evidence.World {
	w := evidence.World{Service: p.Target, Pods: map[netip.Addr]string{}, Nodes: p.NodeNames(), Translating: []string{p.Translates},
		External: p.ExternalClient(), UDP: p.UDP(), Places: places(p), ClientAt: p.Client.At, Client: p.Client.Address}
	for _, s := range p.Servers {
		w.Pods[s.Address] = s.At
	}
	return w
}

// places are the pods, nodes and machines of the plan, the client's side first.
func places(p *scenario.Plan) []evidence.Place {
	var out []evidence.Place
	for _, m := range p.Machines {
		out = append(out, evidence.Place{Name: m.Name, Kind: "machine", Address: m.Address.String()})
	}
	for _, n := range p.Nodes {
		out = append(out, evidence.Place{Name: n.Name, Kind: "node", Address: n.Address.String()})
		for _, pod := range p.Pods {
			if pod.Node != n.Name {
				continue
			}
			place := evidence.Place{Name: pod.Name, Kind: "pod", Address: pod.Address.String(), Node: n.Name}
			if _, serves := p.Server(pod.Name); serves {
				place.Role = "server"
			}
			out = append(out, place)
		}
	}
	for i := range out {
		if out[i].Name == p.Client.At && out[i].Address == p.Client.Address.String() {
			out[i].Role = "client"
		}
	}
	// The client first, then its node, then the other nodes, each with its pods.
	rank := func(place evidence.Place) int {
		switch {
		case place.Role == "client":
			return 0
		case place.Kind == "node" && place.Name == p.Nodes[0].Name:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b evidence.Place) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}
