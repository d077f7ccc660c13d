package report

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario/result"
)

// maxLanes is how many lifelines the diagram has at most; further places share the last one.
const maxLanes = 8

// lanes are the lifelines of the sequence diagram, from left to right.
type lanes struct {
	Lanes []lane
	of    map[string]int
	place map[string]evidence.Place
	// service are the addresses that stand for it, ip:port: its own, and a node port that the example went to.
	service map[string]bool
}

type lane struct {
	Name, Address string
	// X is where the lifeline stands, "12.5%".
	X string
}

// newLanes gives a lifeline to every place where something was seen, in the order of the world. Steps are
// taken nowhere.
func newLanes(r *result.Result, seen []evidence.Observation) *lanes {
	l := &lanes{of: map[string]int{}, place: map[string]evidence.Place{},
		service: map[string]bool{fmt.Sprintf("%s:%d", r.Service.Address, r.Service.Port): true}}
	for _, e := range r.Entries {
		if e.FirstEntry != nil && e.Backend != "" {
			l.service[e.FirstEntry.Original.Dst] = true
		}
	}
	used := map[string]bool{} // and where it was led, though nothing was seen there
	for _, c := range r.Connections {
		if c.ID == r.Example {
			for _, pod := range c.Backends {
				used[pod] = true
			}
		}
	}
	for _, o := range seen {
		if o.Source != "step" && o.At != "" {
			used[o.At] = true
		}
	}
	var names []string
	for _, p := range r.World {
		l.place[p.Name] = p
		if used[p.Name] && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	for _, o := range seen { // what the world does not name
		if used[o.At] && !slices.Contains(names, o.At) {
			names = append(names, o.At)
		}
	}
	for i, name := range names {
		l.of[name] = min(i, maxLanes-1)
	}
	shown := min(len(names), maxLanes)
	for i, name := range names[:shown] {
		p := l.place[name]
		one := lane{Name: name, Address: p.Address, X: percent(i, shown)}
		if i == maxLanes-1 && len(names) > maxLanes {
			one = lane{Name: fmt.Sprintf("%d others", len(names)-i), X: one.X}
		}
		l.Lanes = append(l.Lanes, one)
	}
	return l
}

// percent is the middle of the i-th of n columns.
func percent(i, n int) string { return fmt.Sprintf("%.2f%%", (float64(i)+0.5)*100/float64(n)) }

func (l *lanes) x(at string) string { return percent(l.of[at], len(l.Lanes)) }

// between is a point part of the way from one column to another.
func (l *lanes) between(from, to int, part float64) string {
	return fmt.Sprintf("%.2f%%", (float64(from)+0.5+part*float64(to-from))*100/float64(len(l.Lanes)))
}

// drawing is what a row of the diagram shows on its lifelines.
type drawing struct {
	Segments []segment
	// Dots are where a packet was seen on its way.
	Dots []string
	// Point is where something else happened; empty if it is a packet or a step.
	Point, Shape string
	// Lost is where a packet was seen no more.
	Lost string
}

// segment is an arrow from one place to the next.
type segment struct {
	From, To string
	// Service is true if the packet carries the service's address here: it is not translated, or translated back.
	Service bool
	// Head is true if the arrow ends here.
	Head bool
	// Above and Below are what to write there: the address that changed.
	Above, Below, Middle string
}

// draw is the way of a packet from hop to hop.
func (l *lanes) draw(j journey) drawing {
	var d drawing
	for _, s := range j {
		d.Dots = append(d.Dots, l.x(s.At))
	}
	if came, ok := l.came(j[0]); ok {
		d.Segments = append(d.Segments, came)
	}
	var lastSrc, lastDst string
	forward := !l.replies(j)
	for i := 1; i < len(j); i++ {
		w := wire(j[i-1], j[i])
		from, to := l.of[j[i-1].At], l.of[j[i].At]
		if from == to {
			continue
		}
		s := segment{From: l.x(j[i-1].At), To: l.x(j[i].At), Head: true, Middle: l.between(from, to, 0.5),
			Service: l.service[w.Src] || l.service[w.Dst]}
		if n := len(d.Segments); n > 0 {
			d.Segments[n-1].Head = false
		}
		// The end that the service stands for is written where it first shows and wherever it changes; the other only
		// where it changes.
		if first := lastSrc == ""; forward {
			s.Above = changed(lastDst, w.Dst, first)
			s.Below = changed(lastSrc, w.Src, false)
		} else {
			s.Above = changed(lastSrc, w.Src, first)
			s.Below = changed(lastDst, w.Dst, false)
		}
		lastSrc, lastDst = w.Src, w.Dst
		d.Segments = append(d.Segments, s)
	}
	if n := len(d.Segments); n > 1 && !forward && !l.service[lastSrc] && l.place[j[len(j)-1].At].Role == "client" {
		d.Segments[n-1].Above = lastSrc // not what the client waits for
	}
	l.end(&d, j)
	return d
}

// came is the last stretch of a packet that was seen where it arrived and nowhere before: its node made it, as it does
// with an ICMP error.
func (l *lanes) came(first sighting) (s segment, ok bool) {
	here := l.place[first.At]
	from, drawn := l.of[here.Node]
	if !drawn || here.Kind != "pod" || first.Packet.Direction != "in" {
		return s, false
	}
	to := l.of[first.At]
	return segment{From: percent(from, len(l.Lanes)), To: percent(to, len(l.Lanes)), Middle: l.between(from, to, 0.5), Head: true,
		Above: first.Packet.Src, Service: l.service[first.Packet.Src]}, true
}

func changed(before, now string, always bool) string {
	if always || (before != "" && before != now) {
		return now
	}
	return ""
}

// wire is the packet as it was between two hops: as the first saw it go out, or else as the second saw it come in.
func wire(a, b sighting) *evidence.PacketFacts {
	if a.Packet.Direction == "out" {
		return a.Packet
	}
	return b.Packet
}

// replies tells whether a packet comes from the side of the service: from a server pod, or from its address.
func (l *lanes) replies(j journey) bool {
	first, last := j[0], j[len(j)-1]
	return l.service[first.Packet.Src] || l.service[last.Packet.Src] || l.place[first.At].Role == "server"
}

// end marks a packet that was not seen to arrive, a little on its way from where it was seen last.
func (l *lanes) end(d *drawing, j journey) {
	to, lost := l.lost(j)
	if !lost {
		return
	}
	from := l.of[j[len(j)-1].At]
	if n := len(d.Segments); n > 0 {
		d.Segments[n-1].Head = false
	}
	last := j[len(j)-1].Packet
	part := 0.6
	if to == from {
		return
	}
	s := segment{From: percent(from, len(l.Lanes)), To: l.between(from, to, part), Middle: l.between(from, to, part/2),
		Service: l.service[last.Src] || l.service[last.Dst]}
	if len(j) == 1 {
		s.Middle, s.Above = l.between(from, to, 0.5), last.Dst
		if l.replies(j) {
			s.Above = last.Src
		}
	}
	d.Lost = s.To
	d.Segments = append(d.Segments, s)
}

// lost tells whether a packet was seen to go and not to come, and to which lifeline it was on its way.
func (l *lanes) lost(j journey) (to int, lost bool) {
	last := j[len(j)-1]
	here := l.place[last.At]
	host := address(last.Packet.Dst)
	if here.Name == "" || host == here.Address || (last.Packet.Direction == "in" && here.Kind != "node") {
		return 0, false
	}
	if here.Kind == "pod" { // it goes to its node, wherever it is bound for
		if to, ok := l.of[here.Node]; ok {
			return to, true
		}
	}
	for name, p := range l.place {
		if to, ok := l.of[name]; ok && p.Address == host && name != last.At {
			return to, true
		}
	}
	// To a place without a lifeline: on, in the direction it had.
	from := l.of[last.At]
	if l.replies(j) {
		return max(from-1, 0), true
	}
	return min(from+1, len(l.Lanes)-1), true
}
