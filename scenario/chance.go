package scenario

import (
	"math"
	"sort"
	"strconv"
)

// rareness is the chance, on each side, that a true probability is called false: one run in two million.
const rareness = 0.5e-6

// probability reads a share's probability for n backends.
func (s ShareCheck) probability(n int) float64 {
	switch s.Probability {
	case "(N-1)/N":
		return float64(n-1) / float64(n)
	case "1/N":
		return 1 / float64(n)
	}
	p, _ := strconv.ParseFloat(s.Probability, 64) // the pattern of the field has made sure
	return p
}

// Allowed is how many of n connections through as many backends may end in the outcome, at least and at most, for the
// probability to be called true: all but one run in a million lie in between.
func (s ShareCheck) Allowed(n, backends int) (low, high int) {
	return interval(n, s.probability(backends))
}

// Tells is false if n connections cannot tell right from wrong: where chance alone allows that none or all of them end in
// the outcome. A share of 0 or 1 is exact and always tells, of one connection or more.
func (s ShareCheck) Tells(n, backends int) bool {
	p := s.probability(backends)
	low, high := s.Allowed(n, backends)
	return n > 0 && (p <= 0 || p >= 1 || low > 0 && high < n)
}

// enough is how many connections tell right from wrong at least, one more than there can be if no number does.
func (s ShareCheck) enough(backends int) int {
	return sort.Search(maxConnections+1, func(n int) bool { return s.Tells(n, backends) })
}

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
