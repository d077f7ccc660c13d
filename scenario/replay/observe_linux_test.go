package replay

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
)

// settled is an observation without what is known only when a run has ended, see docs/json.md.
func settled(t *testing.T, o evidence.Observation) string {
	o.Unordered, o.Connection = false, 0
	if o.Packet != nil {
		p := *o.Packet
		p.Journey, p.Comment = 0, ""
		o.Packet = &p
	}
	if o.Path != nil {
		o.T, o.Within = 0, 0
	}
	if o.Entry != nil && o.Entry.Destroyer == "caller" {
		o.By = ""
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestKernelLiveObservations: what is said of a fact when it is seen has the same form, and the same content as far as it
// is known then, as what is said of it in the end.
func TestKernelLiveObservations(t *testing.T) {
	needKernel(t)
	for _, name := range []string{"flush-multi-backend", "keepalive-too-slow", "udp-stale-endpoint"} {
		s, found := builtin.Library(t).Find(name)
		if !found {
			t.Fatalf("no scenario %s", name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live, n := map[string]int{}, 0
			r := replayed(context.Background(), t, s, Options{Observe: func(o evidence.Observation) {
				if n++; !resulttest.CarriesFacts(o) {
					t.Errorf("without the facts of its source: %+v", o)
				}
				live[settled(t, o)]++
			}})
			for _, o := range r.Timeline {
				if live[settled(t, o)]--; live[settled(t, o)] < 0 {
					t.Errorf("in the end, but not live: %s", settled(t, o))
				}
			}
			if n == 0 || n != len(r.Timeline) {
				t.Errorf("%d live, %d in the end", n, len(r.Timeline))
			}
		})
	}
}
