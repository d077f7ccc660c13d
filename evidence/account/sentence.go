package account

import (
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
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

// LastStates are the states of sockets at the end that sentences rest on: no sample shows the same.
func LastStates(all []claim) []*evidence.LastState {
	var out []*evidence.LastState
	for _, s := range all {
		for _, f := range s.facts {
			if l, ok := f.(*evidence.LastState); ok {
				out = append(out, l)
			}
		}
	}
	return out
}

// Sentences are what was told, with the places of its facts in the timeline.
func Sentences(e *evidence.Evidence, all []claim, t evidence.Timeline) []Sentence {
	wanted := map[any]bool{}
	for _, s := range all {
		for _, f := range s.facts {
			wanted[f] = true
		}
	}
	places := t.Places(wanted)
	out := make([]Sentence, 0, len(all))
	for _, s := range all {
		one := Sentence{T: e.Since(s.time), Text: s.text, AtEnd: s.time.Equal(e.Ended), Facts: []int{}}
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
