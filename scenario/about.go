package scenario

import (
	"cmp"
	"net/netip"
	"slices"
)

// translating is the node whose entries translate the service address: the client's.
const translating = nodeMaster

// about is the scenario's world as its evidence has it.
func (s Scenario) about() world {
	w := world{service: s.target(), pods: map[netip.Addr]string{}, nodes: s.nodeNames(), translating: []string{translating},
		external: s.foreignClient(), places: s.planned()}
	w.clientAt, w.client = s.client()
	for i := range s.World.Backends {
		w.pods[s.serverAddress(i)] = serverName(i)
	}
	return w
}

// planned are the pods, nodes and machines of the plan, the client's side first.
func (s Scenario) planned() []Place {
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
	return out
}

// joined is a server pod that a step has started in the place of the i-th one.
func (s Scenario) joined(name string, i int) Place {
	return Place{Name: name, Kind: "pod", Role: "server", Address: s.serverAddress(i).String(), Node: s.serverNode(i)}
}

// watches tells whether a source is to be watched.
func (o Options) watches(s Source) bool { return o.Watch == nil || slices.Contains(o.Watch, s) }
