package scenario

import (
	"fmt"
	"slices"
	"time"
)

// Sentence is one thing that was observed of a connection, in words.
type Sentence struct {
	// T is seconds since the start of the run.
	T    float64 `json:"t"`
	Text string  `json:"text"`
	// AtEnd is true if it tells of what was so when the run ended; T is then its duration.
	AtEnd bool `json:"at_end,omitempty"`
	// Facts are the places in the timeline, from 0, of the observations that it rests on, in order; never empty.
	Facts []int `json:"facts"`
}

// String is the sentence with its time in front, unless it is the end's.
func (s Sentence) String() string {
	if s.AtEnd {
		return s.Text
	}
	return fmt.Sprintf("+%.6f s  %s", s.T, s.Text)
}

// claim is a sentence before the timeline is there: its facts are those of the evidence.
type claim struct {
	time  time.Time
	text  string
	facts []any
}

// lastStates are the states of sockets at the end that sentences rest on: no sample shows the same.
func lastStates(all []claim) []*lastState {
	var out []*lastState
	for _, s := range all {
		for _, f := range s.facts {
			if l, ok := f.(*lastState); ok {
				out = append(out, l)
			}
		}
	}
	return out
}

// sentences are what was told, with the places of its facts in the timeline.
func sentences(e *evidence, all []claim, t timeline) []Sentence {
	wanted := map[any]bool{}
	for _, s := range all {
		for _, f := range s.facts {
			wanted[f] = true
		}
	}
	places := t.places(wanted)
	out := make([]Sentence, 0, len(all))
	for _, s := range all {
		one := Sentence{T: e.since(s.time), Text: s.text, AtEnd: s.time.Equal(e.ended), Facts: []int{}}
		for _, f := range s.facts {
			if at, ok := places[f]; ok {
				one.Facts = append(one.Facts, at)
			}
		}
		slices.Sort(one.Facts)
		one.Facts = slices.Compact(one.Facts)
		out = append(out, one)
	}
	return out
}
