package replay

import (
	"net/netip"
	"testing"
	"time"
)

// TestAffinityGetsOld: ages add up, with the time that passes between them, until the client is seen again.
func TestAffinityGetsOld(t *testing.T) {
	const limit = 3 * time.Hour
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	key := affinityKey{"master", "KUBE-SEP-A", netip.MustParseAddr("10.0.0.1")}
	type at struct {
		stamp   uint64
		by      time.Duration
		passed  time.Duration
		tooOld  bool
		because string
	}
	for name, moments := range map[string][]at{
		"a day":              {{1, 24 * time.Hour, 0, true, "a day is longer"}},
		"the limit":          {{1, limit, 0, true, "as long as the rule remembers"}},
		"less":               {{1, limit - time.Second, 0, false, "a second is left"}, {1, 0, 0, false, "no time has passed"}},
		"twice":              {{1, 2 * time.Hour, 0, false, ""}, {1, 2 * time.Hour, 0, true, "four hours"}},
		"seen in between":    {{1, 2 * time.Hour, 0, false, ""}, {2, 2 * time.Hour, 0, false, "it was seen since the first two"}},
		"seen, not aged":     {{1, 2 * time.Hour, 0, false, ""}, {2, 0, 2 * time.Hour, false, "the kernel knows"}, {2, 2 * time.Hour, 3 * time.Hour, false, "only two are made up"}},
		"the rest by itself": {{1, 2 * time.Hour, 0, false, ""}, {1, 0, 59 * time.Minute, false, ""}, {1, 0, time.Hour, true, "three hours in all"}},
	} {
		r := &run{aged: map[affinityKey]affinityAge{}}
		for i, m := range moments {
			if got := r.older(key, m.stamp, m.by, limit, begin.Add(m.passed)); got != m.tooOld {
				t.Errorf("%s, moment %d: %v, want %v: %s", name, i, got, m.tooOld, m.because)
			}
		}
	}
}
