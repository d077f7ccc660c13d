package result_test

import (
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
)

// TestSentencesRestOnFacts: each sentence of every recorded run rests on observations of its timeline, one of them of the
// sentence's own time.
func TestSentencesRestOnFacts(t *testing.T) {
	for _, name := range recorded.Names {
		r := resulttest.OfRecorded(t, name)
		if err := resulttest.Resting(r); err != nil || len(r.Account) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		// And the check would tell.
		for what, spoil := range map[string]func(*result.Result){
			"no facts":        func(r *result.Result) { r.Account[0].Facts = nil },
			"beyond the end":  func(r *result.Result) { r.Account[0].Facts = []int{len(r.Timeline)} },
			"another's fact":  func(r *result.Result) { r.Account[0].Facts = []int{len(r.Timeline) - 1} },
			"another's words": func(r *result.Result) { r.Account[0].Text += "?" },
		} {
			spoilt := resulttest.OfRecorded(t, name)
			if spoil(spoilt); resulttest.Resting(spoilt) == nil {
				t.Errorf("%s: %s is not found", name, what)
			}
		}
	}
}

// TestTyped: every observation carries the facts of its source.
func TestTyped(t *testing.T) {
	for _, name := range recorded.Names {
		for _, o := range resulttest.OfRecorded(t, name).Timeline {
			if !resulttest.CarriesFacts(o) {
				t.Errorf("%s: without the facts of its source: %+v", name, o)
			}
		}
	}
	if resulttest.CarriesFacts(evidence.Observation{Source: "packet"}) || resulttest.CarriesFacts(evidence.Observation{Source: "packet", Packet: &evidence.PacketFacts{}, Socket: &evidence.SocketFacts{}}) {
		t.Error("the check finds nothing")
	}
}
