package scenario

import "testing"

// AssembleRecorded is the result of a recorded run, for the tests of what is made of results.
func AssembleRecorded(t testing.TB, name string) *Result {
	r := assemble(find(t, name), evidenceOf(t, name))
	r.Kernel = "6.18"
	return r
}

// Updating is true if golden files are to be written.
func Updating() bool { return *update }

// Recorded names the runs that AssembleRecorded knows.
func Recorded() []string { return recorded }
