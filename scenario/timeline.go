package scenario

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// timeline is every observation in the order of time, with the fact that each was made of. The clock is CLOCK_REALTIME
// throughout: the kernel stamps packets, conntrack events and its own trace with it, applications, steps and samples of
// sockets read it. What has no such stamp lies within two that have, see when.
type timeline struct {
	observations []Observation
	facts        []any
}

// timeline makes the observations; packets are those of followed, comments by their places, and last the states of
// sockets at the end that are to be among them.
func (e *evidence) timeline(ix index, packets []packet.Packet, comments map[int]string, last []*lastState) timeline {
	n := len(e.deeds) + len(e.reports) + len(e.events) + len(packets) + len(e.samples) + len(e.output) + len(e.paths) + len(e.kernel) + len(last)
	t := timeline{make([]Observation, 0, n), make([]any, 0, n)}
	for i, number := range e.stepNumbers() {
		t.add(&e.deeds[i], e.stepObservation(&e.deeds[i], number))
	}
	for i := range e.reports {
		t.add(&e.reports[i], e.applicationObservation(&e.reports[i], ix.report(&e.reports[i])))
	}
	for i := range e.events {
		t.add(&e.events[i], e.conntrackObservation(&e.events[i], ix.event(&e.events[i])))
	}
	journeys := e.journeys(ix, packets)
	for i := range packets {
		o := e.packetObservation(&packets[i], ix.packet(&packets[i]))
		o.Packet.Journey, o.Packet.Comment = journeys[i], comments[i]
		t.add(&packets[i], o)
	}
	for i := range e.samples {
		t.add(&e.samples[i], e.socketObservation(&e.samples[i]))
	}
	for _, l := range last {
		t.add(l, e.lastObservation(l))
	}
	for i := range e.output {
		t.add(&e.output[i], e.outputObservation(&e.output[i]))
	}
	for i := range e.paths {
		at, within := e.when(&e.paths[i])
		t.add(&e.paths[i], e.pathObservation(&e.paths[i], ix.path(&e.paths[i], at), at, within))
	}
	for i := range e.kernel {
		if !e.folded(i) {
			t.add(&e.kernel[i], e.kernelObservation(&e.kernel[i], ix.kernel(&e.kernel[i])))
		}
	}
	t.sort()
	markUnordered(t.observations)
	return t
}

func (t *timeline) add(fact any, o Observation) {
	t.observations, t.facts = append(t.observations, o), append(t.facts, fact)
}

// sort puts it into the order of time; what has the same time keeps its order.
func (t *timeline) sort() {
	order := make([]int, len(t.observations))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.observations[a].T, t.observations[b].T) })
	observations, facts := make([]Observation, len(order)), make([]any, len(order))
	for i, from := range order {
		observations[i], facts[i] = t.observations[from], t.facts[from]
	}
	t.observations, t.facts = observations, facts
}

// places are where the observations of these facts stand, by fact; a fact that was not observed has none.
func (t timeline) places(of map[any]bool) map[any]int {
	out := make(map[any]int, len(of))
	for i, fact := range t.facts {
		if of[fact] {
			out[fact] = i
		}
	}
	return out
}

// markUnordered marks what may as well have come before or after a neighbour.
func markUnordered(all []Observation) {
	for i := range all {
		o := &all[i]
		near := func(j int) bool {
			return j >= 0 && j < len(all) && math.Abs(all[j].T-o.T) < o.Within+all[j].Within-1e-9 // at its very end is outside
		}
		o.Unordered = o.Within > 0 && (near(i-1) || near(i+1))
	}
}

// followed are the packets in the order of time, with what can be told only by one who has followed their streams:
// relative numbers, and what repeats another.
func (e *evidence) followed() []packet.Packet {
	out := slices.Clone(e.packets)
	packet.Sort(out)
	var flows packet.Flows
	for i, p := range out {
		out[i] = flows.Follow(p)
	}
	return out
}

// since is seconds from the start of the run, to the nanosecond.
func (e *evidence) since(t time.Time) float64 { return t.Sub(e.started).Seconds() }
