package scenario

import "testing"

// AssembleRecorded is the result of a recorded run, for the tests of what is made of results.
func AssembleRecorded(t testing.TB, name string) *Result {
	r := NewResult(planOf(t, find(t, name)), evidenceOf(t, name))
	r.Kernel = "6.18"
	return r
}

// Recorded names the runs that AssembleRecorded knows.
func Recorded() []string { return recorded }
