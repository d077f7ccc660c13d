package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// TestPodNames: they stand in the order of their addresses, not of a map.
func TestPodNames(t *testing.T) {
	w := World{Pods: map[netip.Addr]string{}}
	var want []string
	for i := range 20 {
		name := fmt.Sprint("pod-", i)
		w.Pods[netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})] = name
		want = append(want, name)
	}
	for range 10 {
		if got := w.PodNames(); !slices.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
	}
}
