package scenario

import (
	"testing"
	"time"
)

// TestInThisRun: a wait in the numbers of production is told with what it takes here.
func TestInThisRun(t *testing.T) {
	wait := Step{Name: "wait", Verb: &Wait{For: 27 * time.Hour}}
	for scale, want := range map[int]string{0: "wait 27h0m0s", 1: "wait 27h0m0s", 7200: "wait 27h0m0s (13.5s here)"} {
		if got := (Scenario{TimeScale: scale}).settled(Steps{wait})[0].InThisRun(); got != want {
			t.Errorf("time_scale %d: %q, want %q", scale, got, want)
		}
	}
}
