package scenario

import (
	"github.com/ctsim/ctsim/internal/strictyaml"
)

// Problem is one thing wrong with a scenario file.
type Problem = strictyaml.Problem

// Problems is everything wrong with a scenario file, in the order of its lines. It is an error that means that nothing
// was started (exit code 2).
type Problems = strictyaml.Problems
