package labs

import (
	"slices"
	"testing"
	"time"
)

// TestInOrder: what comes out of turn within the settling time goes out in turn, and nothing is kept back at the end.
func TestInOrder(t *testing.T) {
	start := time.Now()
	var out []int
	o := newInOrder(func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }, func(n int) { out = append(out, n) })
	for _, n := range []int{3, 1, 2} { // hours ahead: they wait for close
		o.add(n)
	}
	o.close()
	if !slices.Equal(out, []int{1, 2, 3}) {
		t.Errorf("%v", out)
	}
	came := make(chan int)
	o = newInOrder(func(int) time.Time { return start }, func(n int) { came <- n })
	o.add(7)
	if n := <-came; n != 7 { // without close: it goes out by itself
		t.Errorf("%d", n)
	}
	o.close()
}
