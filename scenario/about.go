package scenario

import (
	"cmp"
	"net/netip"
	"slices"
)

// about is what evidence has to know of a plan's world: who is who in it.
func about(p *Plan) world {
	w := world{service: p.Target, pods: map[netip.Addr]string{}, nodes: p.NodeNames(), translating: []string{p.Translates},
		external: p.ExternalClient(), places: places(p), clientAt: p.Client.At, client: p.Client.Address}
	for _, s := range p.Servers {
		w.pods[s.Address] = s.At
	}
	return w
}

// places are the pods, nodes and machines of the plan, the client's side first.
func places(p *Plan) []Place {
	var out []Place
	for _, m := range p.Machines {
		out = append(out, Place{Name: m.Name, Kind: "machine", Address: m.Address.String()})
	}
	for _, n := range p.Nodes {
		out = append(out, Place{Name: n.Name, Kind: "node", Address: n.Address.String()})
		for _, pod := range p.Pods {
			if pod.Node != n.Name {
				continue
			}
			place := Place{Name: pod.Name, Kind: "pod", Address: pod.Address.String(), Node: n.Name}
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
	return out
}
