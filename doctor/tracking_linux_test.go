package doctor

import (
	"testing"

	"github.com/ctsim/ctsim/probe/conntrack"
)

// TestEndsTold: a DESTROY without a TCP state, as kernels before 5.12 send it, is not enough; nor is none at all.
func TestEndsTold(t *testing.T) {
	told := conntrack.Event{Type: conntrack.Destroy, Entry: conntrack.Entry{HasTCP: true, TCP: conntrack.TCPEstablished}}
	for name, c := range map[string]struct {
		events []conntrack.Event
		ok     bool
	}{
		"told": {[]conntrack.Event{{Type: conntrack.New}, told}, true}, "mute": {[]conntrack.Event{{Type: conntrack.New}, {Type: conntrack.Destroy}}, false},
		"none": {nil, false},
	} {
		if err := endsTold(c.events); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
