// Package builtin hands the built-in scenarios to tests.
package builtin

import (
	"testing"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/scenario"
)

// Library is all of them, parsed anew: the caller may change them.
func Library(t testing.TB) *scenario.Library {
	t.Helper()
	lib, err := scenario.Parse("scenarios.yaml", ctsim.Scenarios)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// Find is the scenario of that name, of a library of its own.
func Find(t testing.TB, name string) scenario.Scenario {
	t.Helper()
	s, ok := Library(t).Find(name)
	if !ok {
		t.Fatalf("there is no built-in scenario %s", name)
	}
	return s
}

// Plan is a scenario settled in its own size.
func Plan(t testing.TB, s scenario.Scenario) *scenario.Plan {
	t.Helper()
	p, err := s.Plan(scenario.Size{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
