package report

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
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
	// Anchor is how the label stands to its point: it ends or starts there.
	Anchor string
}

const (
	worldWidth = 400
	podWidth   = 164
	podHeight  = 46
	gap        = 14
	// nodeGap is the room between two nodes.
	nodeGap = 44
	// drawnPods is how many pods of a node are drawn.
	drawnPods = 6
)

// newPicture draws the world, and the way of the example through it.
func newPicture(r *result.Result, example account.Connection) *picture {
	p := &picture{Width: worldWidth}
	y := 4
	spots := map[string]box{}
	for _, place := range r.World {
		if place.Kind == "machine" {
			b := p.add(box{X: (worldWidth - podWidth) / 2, Y: y, W: podWidth, H: podHeight, Class: "machine " + place.Role,
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
func (p *picture) node(r *result.Result, node evidence.Place, example account.Connection, y int, first bool, spots map[string]box) int {
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
		x := frame.X + gap + (i%2)*(worldWidth-2*(frame.X+gap)-podWidth)
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
			Title: "service " + r.Service.Name, Small: fmt.Sprintf("%s:%d %s, DNAT by this node", r.Service.Address, r.Service.Port, r.Service.Protocol)})
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
func podsOf(r *result.Result, node string, example account.Connection) (shown []evidence.Place, hidden int) {
	var all []evidence.Place
	for _, p := range r.World {
		if p.Kind == "pod" && p.Node == node {
			all = append(all, p)
		}
	}
	if len(all) <= drawnPods {
		return all, 0
	}
	slices.SortStableFunc(all, func(a, b evidence.Place) int { return met(a, example) - met(b, example) })
	return all[:drawnPods], len(all) - drawnPods
}

// met is 0 for a pod that the example was translated to, 1 for others.
func met(p evidence.Place, example account.Connection) int {
	if p.Role == "client" || slices.Contains(example.Backends, p.Name) {
		return 0
	}
	return 1
}

// standing tells what a pod is to the example: the first backend, or the last.
func standing(p evidence.Place, example account.Connection) string {
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
func (p *picture) links(world []evidence.Place, spots map[string]box) {
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

// way draws where the example's packets went: to the service, to the first backend, to the last. All ways run in the
// aisle between the two columns of pods, where nothing is written.
func (p *picture) way(r *result.Result, example account.Connection, spots map[string]box) {
	service, drawn := spots["service"]
	if !drawn {
		return
	}
	for _, place := range r.World {
		from, ok := spots[place.Name]
		if !ok || place.Role != "client" {
			continue
		}
		x, y := from.X+from.W/2, from.Y+from.H
		if place.Kind == "node" { // the client is the node's own
			y = from.TY + 8
		}
		p.Edges = append(p.Edges, edge{Path: fmt.Sprintf("M%d %dV%d", x, y, service.Y-2), Class: "way"})
	}
	n := len(example.Backends)
	if n == 0 {
		return
	}
	first, knowsFirst := spots[example.Backends[0]]
	last, knowsLast := spots[example.Backends[n-1]]
	switch moved := example.Backends[0] != example.Backends[n-1]; {
	case !moved && knowsFirst:
		p.Edges = append(p.Edges, lead(service, first, 0, "translated to", "way first"))
	case moved:
		// Of two on one side, the nearer one's way is the outer one: they do not cross.
		lane := 4
		if goesLeft(first) && !(goesLeft(last) && farther(service, first, last)) || !goesLeft(first) && !goesLeft(last) && farther(service, first, last) {
			lane = -4
		}
		if knowsFirst {
			p.Edges = append(p.Edges, lead(service, first, lane, "at first", "way first"))
		}
		if knowsLast {
			p.Edges = append(p.Edges, lead(service, last, -lane, "after the break", "way last"))
		}
	}
}

// goesLeft tells whether a pod stands left of the aisle.
func goesLeft(pod box) bool { return pod.X < worldWidth/2 }

// farther tells whether a is farther up or down from the service than b.
func farther(service, a, b box) bool {
	distance := func(pod box) int { return max(pod.Y-service.Y, service.Y-pod.Y) }
	return distance(a) > distance(b)
}

// lead is the way from the service to a pod: along the aisle, lane pixels from its middle, and in at the pod's side.
func lead(service, pod box, lane int, label, class string) edge {
	const bend = 8
	x, from, to := worldWidth/2+lane, service.Y+service.H, pod.Y+pod.H/2
	before, ly := to-bend, from+gap+nodeGap/2+4
	if pod.Y < service.Y { // a pod of the same node stands above
		from, before, ly = service.Y, to+bend, service.Y-14
	}
	turn, side := x-bend, pod.X+pod.W+2
	if !goesLeft(pod) {
		turn, side = x+bend, pod.X-2
	}
	if (turn < side) == goesLeft(pod) { // no room to bend
		turn = side
	}
	e := edge{Path: fmt.Sprintf("M%d %dV%dQ%d %d %d %dH%d", x, from, before, x, to, turn, to, side), Class: class, Label: label,
		LX: worldWidth/2 - 14, LY: ly, Anchor: "end"}
	if lane > 0 || lane == 0 && !goesLeft(pod) {
		e.LX, e.Anchor = worldWidth/2+14, "start"
	}
	return e
}

func (p *picture) describe(r *result.Result, example account.Connection) {
	p.Described = fmt.Sprintf("The client reaches service %s %s:%d, which has %s.", r.Service.Name, r.Service.Address,
		r.Service.Port, account.Count(len(r.Service.Backends), "endpoint", "endpoints"))
	if len(example.Backends) > 0 {
		p.Described += fmt.Sprintf(" Connection %d was translated to %s.", example.ID, path(example.Backends))
	}
}
