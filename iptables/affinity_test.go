package iptables

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
)

func TestParseAffinities(t *testing.T) {
	got, err := parseAffinities("KUBE-SEP-A", "src=172.18.219.65 ttl: 63 last_seen: 4295012345 oldest_pkt: 2 4295012300, 4295012345\n"+
		"src=10.0.0.1 ttl: 64 last_seen: 7 oldest_pkt: 1 7\n")
	want := []dataplane.Affinity{{List: "KUBE-SEP-A", Client: netip.MustParseAddr("172.18.219.65"), Stamp: 4295012345},
		{List: "KUBE-SEP-A", Client: netip.MustParseAddr("10.0.0.1"), Stamp: 7}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"src=x last_seen: 1\n", "src=10.0.0.1 ttl: 64\n", "ttl: 64 last_seen: 1\n", "\n"} {
		if got, err := parseAffinities("KUBE-SEP-A", bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
