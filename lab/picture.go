package lab

import (
	"fmt"

	"github.com/ctsim/ctsim/scenario"
)

// Picture draws the lab: the service, the client, the nodes and the server pods on them.
func (r *Record) Picture() string {
	d := scenario.Drawing{Service: r.ServiceText()}
	for i, n := range r.Blueprint.Topology.Nodes {
		node := scenario.DrawnNode{Name: fmt.Sprintf("%s %s", n.Name, n.Address), Pods: r.podsOn(n.Name)}
		if i == 0 {
			node.Pods = nil
			for _, p := range n.Pods {
				node.Pods = append(node.Pods, fmt.Sprintf("%s %s", p.Name, p.Address))
			}
		}
		d.Nodes = append(d.Nodes, node)
	}
	for _, h := range r.Blueprint.Topology.Hosts {
		d.Machines = append(d.Machines, fmt.Sprintf("%s %s", h.Name, h.Address))
	}
	return d.String()
}

// podsOn are the server pods of a node in words; one that the service does not lead to says so.
func (r *Record) podsOn(node string) (pods []string) {
	for _, b := range r.Servers() {
		if b.Node != node {
			continue
		}
		text := fmt.Sprintf("%s %s", b.Pod, b.Address)
		if !b.Endpoint {
			text += " (no endpoint)"
		}
		pods = append(pods, text)
	}
	return pods
}
