package scenario

import "testing"

// TestTells: a share tells right from wrong exactly where chance allows neither none nor all; enough is the smallest such
// number.
func TestTells(t *testing.T) {
	for _, p := range []string{"0.5", "1/N", "(N-1)/N", "0.01", "0.99"} {
		for _, backends := range []int{2, 3, 50} {
			s := ShareCheck{Probability: p}
			enough := s.enough(backends)
			for n := range 900 {
				low, high := s.Allowed(n, backends)
				if got := s.Tells(n, backends); got != (n > 0 && low > 0 && high < n) || got != (n >= enough) {
					t.Fatalf("%s of %d with %d backends: %v; %d to %d, enough is %d", p, n, backends, got, low, high, enough)
				}
			}
		}
	}
	for n, want := range map[int]bool{0: false, 1: true, 10: true} {
		for _, p := range []string{"0", "1"} {
			if got := (ShareCheck{Probability: p}).Tells(n, 2); got != want {
				t.Errorf("%s of %d: %v", p, n, got)
			}
		}
	}
	if n := (ShareCheck{Probability: "0.5"}).enough(2); n != 21 {
		t.Errorf("half: %d, want 21: 2^-21 is the first below one in two million", n)
	}
}
