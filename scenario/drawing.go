package scenario

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ctsim/ctsim/kube"
)

// Drawing is a world to be drawn: what stands beside each name is up to whoever draws it.
type Drawing struct {
	// Service is the line above.
	Service string
	// Nodes are in order; the first, the client's, is drawn on the left.
	Nodes []DrawnNode
	// Machines are outside the cluster, on the nodes' network.
	Machines []string
}

// DrawnNode is a node and the pods that hang on it, each as it is written.
type DrawnNode struct {
	Name string
	Pods []string
}

// shown is how many pods of a node are drawn; of more, the first ones and the last.
const shown = 4

// String is the drawing, several lines.
func (d Drawing) String() string {
	left := d.Nodes[0].Name + " "
	for _, pod := range d.Nodes[0].Pods {
		left = pod + " ── " + left
	}
	var others [][]string // what hangs on the link to the first node, in lines
	for _, n := range d.Nodes[1:] {
		others = append(others, branches(" "+n.Name+" ", n.Pods))
	}
	for _, m := range d.Machines {
		others = append(others, []string{" " + m})
	}
	var right []string
	for i, lines := range others {
		first, rest := joint(i, len(others))
		for j, line := range lines {
			if j == 0 {
				right = append(right, first+line)
			} else {
				right = append(right, rest+line)
			}
		}
	}
	indent := strings.Repeat(" ", utf8.RuneCountInString(left))
	var b strings.Builder
	fmt.Fprintf(&b, "service %s\n\n", d.Service)
	for i, line := range right {
		if i == 0 {
			b.WriteString(left)
		} else {
			b.WriteString(indent)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// Drawing is the plan's world, with a note where the client runs if that is not the pod of that name.
func (p *Plan) Drawing() Drawing {
	text := func(name string, address any) string {
		out := fmt.Sprintf("%s %s", name, address)
		switch {
		case name == PodClient && p.Client.At != PodClient:
			out += " (idle)"
		case name == p.Client.At && name != PodClient:
			out += " (the client)"
		}
		return out
	}
	d := Drawing{Service: ServiceText(p.Service)}
	for _, n := range p.Nodes {
		node := DrawnNode{Name: text(n.Name, n.Address)}
		for _, pod := range p.Pods {
			if pod.Node == n.Name {
				node.Pods = append(node.Pods, text(pod.Name, pod.Address))
			}
		}
		d.Nodes = append(d.Nodes, node)
	}
	for _, m := range p.Machines {
		d.Machines = append(d.Machines, text(m.Name, m.Address))
	}
	return d
}

// ServiceText is a service in one line, "default/myservice 10.108.33.37:2222/TCP".
func ServiceText(svc kube.Service) string {
	return fmt.Sprintf("%s %s:%d/%s", svc, svc.ClusterIP, svc.Port, strings.ToUpper(svc.Protocol.String()))
}

// joint is how the i-th of n machines hangs on the link between them: in its first line, and in those below.
func joint(i, n int) (first, rest string) {
	switch {
	case n == 1:
		return "══", "  "
	case i == 0:
		return "═╦", " ║"
	case i == n-1:
		return " ╚", "  "
	}
	return " ╠", " ║"
}

// branches draws pods that hang on a node.
func branches(node string, pods []string) []string {
	if len(pods) == 0 {
		return []string{node}
	}
	indent := strings.Repeat(" ", utf8.RuneCountInString(node))
	if len(pods) > shown {
		pods = append(append([]string{}, pods[:shown-2]...), "┆", pods[len(pods)-1])
	}
	var lines []string
	for i, pod := range pods {
		branch := "├─ "
		switch {
		case pod == "┆":
			branch, pod = "┆", ""
		case len(pods) == 1:
			branch = "── "
		case i == 0:
			branch = "┬─ "
		case i == len(pods)-1:
			branch = "└─ "
		}
		before, dash := indent, " "
		if i == 0 {
			before, dash = node, "─"
		}
		lines = append(lines, before+dash+branch+pod)
	}
	return lines
}
