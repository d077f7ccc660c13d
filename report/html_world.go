package report

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/scenario"
)

// picture is the world as drawn: boxes in boxes from top to bottom, the client's side first, narrow enough for a phone.
type picture struct {
	Width, Height int
	Boxes         []box
	Edges         []edge
	// Described is the picture in a sentence, for those who do not see it.
	Described string
}

// box is a machine, node, pod or the service.
type box struct {
	X, Y, W, H   int
	Class        string
	Title, Small string
	// TX and TY are where its title begins, TX and SY where the small text does.
	TX, TY, SY int
}

// edge is a line with an arrow, by what it stands for.
type edge struct {
	Path, Class, Label string
	LX, LY             int
	// Anchor is how the label stands to its point.
	Anchor string
}

const (
	worldWidth = 400
	podWidth   = 172
	podHeight  = 46
	gap        = 14
	// nodeGap is the room between two nodes.
	nodeGap = 44
	// drawnPods is how many pods of a node are drawn.
	drawnPods = 6
)

// newPicture draws the world, and the way of the example through it.
func newPicture(r *scenario.Result, example scenario.Connection) *picture {
	p := &picture{Width: worldWidth}
	y := 4
	spots := map[string]box{}
	for _, place := range r.World {
		if place.Kind == "machine" {
			b := p.add(box{X: worldWidth - podWidth - 2*gap, Y: y, W: podWidth, H: podHeight, Class: "machine " + place.Role,
				Title: "machine " + place.Name, Small: place.Address})
			spots[place.Name] = b
			y += podHeight + 30
		}
	}
	translating := true
	for _, place := range r.World {
		if place.Kind != "node" {
			continue
		}
		y = p.node(r, place, example, y, translating, spots) + nodeGap
		translating = false
	}
	p.Height = y - nodeGap + 4
	p.links(r.World, spots)
	p.way(r, example, spots)
	p.describe(r, example)
	return p
}

func (p *picture) add(b box) box {
	b.TX, b.TY, b.SY = b.X+12, b.Y+20, b.Y+36
	p.Boxes = append(p.Boxes, b)
	return b
}

// node draws a node with its pods, and the service in the first one: that is where its rules are met. It gives the lower
// edge.
func (p *picture) node(r *scenario.Result, node scenario.Place, example scenario.Connection, y int, first bool, spots map[string]box) int {
	at := len(p.Boxes)
	frame := box{X: 4, Y: y, W: worldWidth - 8, Class: "node " + node.Role, Title: "node " + node.Name, Small: node.Address}
	if node.Role != "" {
		frame.Title += ", " + node.Role
	}
	p.Boxes = append(p.Boxes, frame)
	top := y + 34
	shown, hidden := podsOf(r, node.Name, example)
	bottom := top - gap
	for i, pod := range shown {
		x := frame.X + gap + (i%2)*(podWidth+20)
		b := p.add(box{X: x, Y: top + (i/2)*(podHeight+gap), W: podWidth, H: podHeight, Class: "pod " + pod.Role + standing(pod, example),
			Title: "pod " + pod.Name, Small: pod.Address})
		spots[pod.Name], bottom = b, b.Y+b.H
	}
	if hidden > 0 {
		bottom += 22
		p.Boxes = append(p.Boxes, box{Class: "more", Title: fmt.Sprintf("… and %d more pods", hidden), TX: frame.X + gap, TY: bottom - 4})
	}
	if first {
		service := p.add(box{X: frame.X + gap, Y: bottom + 34, W: frame.W - 2*gap, H: podHeight, Class: "service",
			Title: "service " + r.Service.Name, Small: fmt.Sprintf("%s:%d %s, DNAT by this node's rules", r.Service.Address, r.Service.Port, r.Service.Protocol)})
		if len(shown) == 0 {
			p.Boxes[len(p.Boxes)-1].Y = top
			service = p.moved(top)
		}
		spots["service"], bottom = service, service.Y+service.H
	}
	frame.H = bottom + gap - y
	frame.TX, frame.TY, frame.SY = frame.X+12, y+22, y+22
	p.Boxes[at] = frame
	spots[node.Name] = frame
	return y + frame.H
}

// moved puts the last box at another height.
func (p *picture) moved(y int) box {
	b := p.Boxes[len(p.Boxes)-1]
	p.Boxes = p.Boxes[:len(p.Boxes)-1]
	b.Y = y
	return p.add(b)
}

// podsOf are the pods of a node to draw, those of the example first where there are too many.
func podsOf(r *scenario.Result, node string, example scenario.Connection) (shown []scenario.Place, hidden int) {
	var all []scenario.Place
	for _, p := range r.World {
		if p.Kind == "pod" && p.Node == node {
			all = append(all, p)
		}
	}
	if len(all) <= drawnPods {
		return all, 0
	}
	slices.SortStableFunc(all, func(a, b scenario.Place) int { return met(a, example) - met(b, example) })
	return all[:drawnPods], len(all) - drawnPods
}

// met is 0 for a pod that the example was translated to, 1 for others.
func met(p scenario.Place, example scenario.Connection) int {
	if p.Role == "client" || slices.Contains(example.Backends, p.Name) {
		return 0
	}
	return 1
}

// standing tells what a pod is to the example: the first backend, or the last.
func standing(p scenario.Place, example scenario.Connection) string {
	n := len(example.Backends)
	switch {
	case n == 0 || p.Role == "client":
		return ""
	case example.Backends[n-1] == p.Name && n > 1 && example.Backends[0] != p.Name:
		return " last"
	case example.Backends[0] == p.Name:
		return " first"
	}
	return ""
}

// links draw the wires from node to node.
func (p *picture) links(world []scenario.Place, spots map[string]box) {
	var above *box
	for _, place := range world {
		if place.Kind != "node" {
			continue
		}
		b := spots[place.Name]
		if above != nil {
			x := worldWidth - 28
			p.Edges = append(p.Edges, edge{Path: fmt.Sprintf("M%d %dV%d", x, above.Y+above.H, b.Y), Class: "link"})
		}
		above = &b
	}
}

// way draws where the example's packets went: to the service, to the first backend, to the last.
func (p *picture) way(r *scenario.Result, example scenario.Connection, spots map[string]box) {
	service, drawn := spots["service"]
	if !drawn {
		return
	}
	for _, place := range r.World {
		if from, ok := spots[place.Name]; ok && place.Role == "client" && place.Kind != "node" {
			x := from.X + from.W/2
			p.Edges = append(p.Edges, edge{Path: fmt.Sprintf("M%d %dV%d", x, from.Y+from.H, service.Y-2), Class: "way"})
		}
	}
	n := len(example.Backends)
	if n == 0 {
		return
	}
	first, last := example.Backends[0], example.Backends[n-1]
	if to, ok := spots[first]; ok {
		label := "at first"
		if first == last {
			label = "translated to"
		}
		p.Edges = append(p.Edges, curve(service, to, label, "way first"))
	}
	if to, ok := spots[last]; ok && last != first {
		p.Edges = append(p.Edges, curve(service, to, "after the break", "way last"))
	}
}

// curve leads from the service to a pod.
func curve(from, to box, label, class string) edge {
	x1, y1, x2, y2 := from.X+from.W/2, from.Y+from.H, to.X+to.W/2, to.Y-2
	if to.Y < from.Y { // a pod of the same node stands above
		y1, y2 = from.Y, to.Y+to.H+2
	}
	mid := (y1 + y2) / 2
	e := edge{Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1, mid, x2, mid, x2, y2), Class: class, Label: label,
		LX: (x1+x2)/2 - 12, LY: mid - 2, Anchor: "end"}
	if x2 > x1 {
		e.LX, e.Anchor = (x1+x2)/2+12, "start"
	}
	return e
}

func (p *picture) describe(r *scenario.Result, example scenario.Connection) {
	p.Described = fmt.Sprintf("The client reaches service %s %s:%d, which has %d %s.", r.Service.Name, r.Service.Address,
		r.Service.Port, len(r.Service.Backends), plural(len(r.Service.Backends), "endpoint"))
	if len(example.Backends) > 0 {
		p.Described += fmt.Sprintf(" Connection %d was translated to %s.", example.ID, path(example.Backends))
	}
}
