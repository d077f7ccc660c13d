package scenario

import (
	"github.com/ctsim/ctsim/internal/strictyaml"
)

// Problem is one thing wrong with a scenario file.
type Problem = strictyaml.Problem

// Problems is everything wrong with a scenario file, in the order of its lines. It is an error that means that nothing
// was started (exit code 2).
type Problems = strictyaml.Problems

// Unsupported is the error of a run that this machine, kernel or user cannot make (exit code 3).
type Unsupported struct {
	What string
	// Hint says how to get what is missing: a command to paste.
	Hint string
	Err  error
}

// Error says what is missing and why.
func (u *Unsupported) Error() string {
	if u.Err == nil {
		return u.What
	}
	return u.What + ": " + u.Err.Error()
}

// Unwrap is the operating system's reason, nil if there is none.
func (u *Unsupported) Unwrap() error { return u.Err }
