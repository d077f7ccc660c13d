package fault

import "testing"

// TestOnlyWithTheTag: no build but that of `make torture` can be told to go wrong.
func TestOnlyWithTheTag(t *testing.T) {
	Plant("anything")
	t.Cleanup(func() { Plant("") })
	if Is("anything") != CanPlant {
		t.Errorf("planted: %v, in a build that can plant: %v", Is("anything"), CanPlant)
	}
}
