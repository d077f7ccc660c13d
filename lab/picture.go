package lab

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// shown is how many server pods of a node are drawn; of more, the first ones and the last.
const shown = 4

// Picture draws the lab: the service, the client, the nodes and the server pods on them.
func (r *Record) Picture() string {
	topo := r.Blueprint.Topology
	master := topo.Nodes[0]
	left := fmt.Sprintf("%s %s ", master.Name, master.Address)
	for _, p := range master.Pods {
		left = fmt.Sprintf("%s %s ── %s", p.Name, p.Address, left)
	}
	var others [][]string // what hangs on the link to the first node, in lines
	for _, n := range topo.Nodes[1:] {
		others = append(others, branches(fmt.Sprintf(" %s %s ", n.Name, n.Address), r.podsOn(n.Name)))
	}
	for _, h := range topo.Hosts {
		others = append(others, []string{fmt.Sprintf(" %s %s", h.Name, h.Address)})
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
	fmt.Fprintf(&b, "service %s\n\n", r.ServiceText())
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
