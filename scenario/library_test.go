package scenario

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ctsim/ctsim"
)

var parsed = sync.OnceValues(func() (*Library, error) { return Parse("scenarios.yaml", ctsim.Scenarios) })

// library is the built-in scenarios; tests share it and change copies only.
func library(t testing.TB) *Library {
	t.Helper()
	lib, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func find(t testing.TB, name string) Scenario {
	t.Helper()
	s, ok := library(t).Find(name)
	if !ok {
		t.Fatalf("the library has no %s", name)
	}
	return s
}

// fresh is a scenario that a test may change down to its steps.
func fresh(t testing.TB, name string) Scenario {
	t.Helper()
	lib, err := Parse("scenarios.yaml", ctsim.Scenarios)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := lib.Find(name)
	if !ok {
		t.Fatalf("the library has no %s", name)
	}
	return s
}

// Every built-in scenario teaches: it says what, why, where to look, what helps and who says so.
func TestBuiltInScenariosAreComplete(t *testing.T) {
	for _, s := range library(t).Scenarios {
		for field, text := range map[string]string{"title": s.Title, "cause": s.Cause, "see": s.See, "cure": s.Cure, "source": s.Source} {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no %s", s.Name, field)
			}
		}
		if strings.HasSuffix(s.Title, ".") || strings.Contains(s.Title, "\n") {
			t.Errorf("%s: a title is one line without a full stop: %q", s.Name, s.Title)
		}
		if x := s.Expect; len(x.Events)+len(x.Packets)+len(x.Rules)+len(x.Sockets) == 0 {
			t.Errorf("%s expects an outcome alone; it must rest on evidence too", s.Name)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, s := range library(t).Scenarios {
		t.Run(s.Name, func(t *testing.T) { golden(t, "describe/"+s.Name+".txt", s.Describe()) })
	}
}

func TestFind(t *testing.T) {
	lib := library(t)
	for _, s := range lib.Scenarios {
		if got, ok := lib.Find(s.Name); !ok || got.Name != s.Name {
			t.Errorf("Find(%q) = %q, %v", s.Name, got.Name, ok)
		}
	}
	if _, ok := lib.Find("flush-mutli-backend"); ok {
		t.Error("found a name that is not there")
	}
	if got := lib.Nearest("flush-mutli-backend"); got != "flush-multi-backend" {
		t.Errorf("nearest is %q", got)
	}
}

// Options that do not fit the scenario are refused before anything is started, with or without privileges.
func TestOptionsAreChecked(t *testing.T) {
	s := find(t, "flush-multi-backend")
	for name, o := range map[string]Options{
		"one backend cannot be re-routed": {Backends: 1},
		"too many backends":               {Backends: 251},
		"negative":                        {Backends: -1},
		"too many connections":            {Connections: 4001},
		"negative connections":            {Connections: -2},
	} {
		t.Run(name, func(t *testing.T) {
			if len(s.Check(o)) == 0 {
				t.Error("Check accepts it")
			}
			var problems Problems
			if _, err := Run(context.Background(), s, o); !errors.As(err, &problems) {
				t.Errorf("Run gave %v, want Problems", err)
			}
			if _, err := s.RuleSet(o); !errors.As(err, &problems) {
				t.Errorf("RuleSet gave %v, want Problems", err)
			}
		})
	}
	if problems := s.Check(Options{Backends: 250, Connections: 4000}); len(problems) > 0 {
		t.Errorf("what is allowed is refused: %v", problems)
	}
	if s.World.Backends != 2 {
		t.Error("Check has changed the scenario")
	}
}
