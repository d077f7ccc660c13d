package scenario

import (
	"fmt"
	"math"
)

// rareness is the chance, on each side, that a true probability is called false: one run in two million.
const rareness = 0.5e-6

// interval is the counts of successes, of n tries with probability p, that are left when on each side the unlikeliest
// outcomes with a chance of rareness together are taken away. It is exact (binomial), so that it holds for few tries
// and for p of 0 or 1 too.
func interval(n int, p float64) (low, high int) {
	low, high = 0, n
	for sum := choose(n, low, p); sum <= rareness && low < n; sum += choose(n, low, p) {
		low++
	}
	for sum := choose(n, high, p); sum <= rareness && high > 0; sum += choose(n, high, p) {
		high--
	}
	return low, high
}

// choose is the binomial probability of k successes.
func choose(n, k int, p float64) float64 {
	switch {
	case p <= 0:
		return map[bool]float64{true: 1}[k == 0]
	case p >= 1:
		return map[bool]float64{true: 1}[k == n]
	}
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	return math.Exp(lg(n) - lg(k) - lg(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// share checks how many connections ended in an outcome against what chance allows.
func (c *checker) share(x ShareCheck, backends int) {
	n, k := len(c.accounts), 0
	for _, a := range c.accounts {
		if a.Outcome == x.Of {
			k++
		}
	}
	p := x.probability(backends)
	low, high := interval(n, p)
	check := Check{Text: fmt.Sprintf("share of %s: %s = %.3g", x.Of, x.Probability, p), Verdict: Pass,
		Reason: fmt.Sprintf("%d of %d (%.3f); chance allows %d to %d", k, n, float64(k)/float64(max(n, 1)), low, high)}
	if k < low || k > high {
		check.Verdict = Fail
	}
	c.out = append(c.out, check)
}
