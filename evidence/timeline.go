package evidence

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// Timeline is every observation in the order of time, with the fact that each was made of. The clock is CLOCK_REALTIME
// throughout: the kernel stamps packets, conntrack events and its own trace with it, applications, steps and samples of
// sockets read it. What has no such stamp lies within two that have, see when.
type Timeline struct {
	Observations []Observation
	facts        []any
}

// Timeline makes the observations; packets are those of followed, comments by their places, and last the states of
// sockets at the end that are to be among them.
func (e *Evidence) Timeline(ix Index, packets []packet.Packet, comments map[int]string, last []*LastState) Timeline {
	n := len(e.Deeds) + len(e.Reports) + len(e.Events) + len(packets) + len(e.Samples) + len(e.Output) + len(e.Paths) + len(e.Kernel) + len(last)
	t := Timeline{make([]Observation, 0, n), make([]any, 0, n)}
	for i, number := range e.stepNumbers() {
		t.add(&e.Deeds[i], e.stepObservation(&e.Deeds[i], number))
	}
	for i := range e.Reports {
		t.add(&e.Reports[i], e.ApplicationObservation(&e.Reports[i], ix.Report(&e.Reports[i])))
	}
	for i := range e.Events {
		t.add(&e.Events[i], e.ConntrackObservation(&e.Events[i], ix.Event(&e.Events[i])))
	}
	journeys := e.journeys(ix, packets)
	for i := range packets {
		o := e.PacketObservation(&packets[i], ix.Packet(&packets[i]))
		o.Packet.Journey, o.Packet.Comment = journeys[i], comments[i]
		t.add(&packets[i], o)
	}
	for i := range e.Samples {
		t.add(&e.Samples[i], e.SocketObservation(&e.Samples[i]))
	}
	for _, l := range last {
		t.add(l, e.lastObservation(l))
	}
	for i := range e.Output {
		t.add(&e.Output[i], e.OutputObservation(&e.Output[i]))
	}
	for i := range e.Paths {
		at, within := e.When(&e.Paths[i])
		t.add(&e.Paths[i], e.PathObservation(&e.Paths[i], ix.Path(&e.Paths[i], at), at, within))
	}
	for i := range e.Kernel {
		if !e.Folded(i) {
			t.add(&e.Kernel[i], e.KernelObservation(&e.Kernel[i], ix.Kernel(&e.Kernel[i])))
		}
	}
	t.sort()
	markUnordered(t.Observations)
	return t
}

func (t *Timeline) add(fact any, o Observation) {
	t.Observations, t.facts = append(t.Observations, o), append(t.facts, fact)
}

// sort puts it into the order of time; what has the same time keeps its order.
func (t *Timeline) sort() {
	order := make([]int, len(t.Observations))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.Observations[a].T, t.Observations[b].T) })
	observations, facts := make([]Observation, len(order)), make([]any, len(order))
	for i, from := range order {
		observations[i], facts[i] = t.Observations[from], t.facts[from]
	}
	t.Observations, t.facts = observations, facts
}

// Places are where the observations of these facts stand, by fact; a fact that was not observed has none.
func (t Timeline) Places(of map[any]bool) map[any]int {
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

// Followed are the packets in the order of time, with what can be told only by one who has followed their streams:
// relative numbers, and what repeats another.
func (e *Evidence) Followed() []packet.Packet {
	out := slices.Clone(e.Packets)
	packet.Sort(out)
	var flows packet.Flows
	for i, p := range out {
		out[i] = flows.Follow(p)
	}
	return out
}

// Since is seconds from the start of the run, to the nanosecond.
func (e *Evidence) Since(t time.Time) float64 { return t.Sub(e.Started).Seconds() }
