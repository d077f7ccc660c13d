package scenario

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/internal/golden"
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
		t.Run(s.Name, func(t *testing.T) { golden.Text(t, "describe/"+s.Name+".txt", planOf(t, s).Describe()) })
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

// planOf is a scenario settled in its own size.
func planOf(t testing.TB, s Scenario) *Plan {
	t.Helper()
	p, err := s.Plan(Size{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A size that the scenario cannot have is refused before anything is started, and told of the option, with or without
// privileges.
func TestSizesAreChecked(t *testing.T) {
	s := find(t, "flush-multi-backend")
	for name, tt := range map[string]struct {
		size Size
		want string
	}{
		"one backend cannot be re-routed": {Size{Backends: 1, Connections: 5}, "backends 1: does not go with scenarios.yaml:"},
		"too many backends":               {Size{Backends: 251}, "backends 251: 251 backends, want 1 to 250"},
		"negative":                        {Size{Backends: -1}, "backends -1: -1 backends, want 1 to 250"},
		"too many connections":            {Size{Connections: 4001, Backends: 3}, "connections 4001: 4001 connections, want 1 to 4000"},
		"negative connections":            {Size{Connections: -2}, "connections -2: -2 connections, want 1 to 4000"},
		"too many nodes":                  {Size{Nodes: 6}, "nodes 6: 6 nodes, want 2 to 5"},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong *SizeProblem
			if _, err := s.Plan(tt.size); !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Plan gave %v, want a SizeProblem: %s", err, tt.want)
			}
		})
	}
	if _, err := s.Plan(Size{Backends: 250, Connections: 4000}); err != nil {
		t.Errorf("what is allowed is refused: %v", err)
	}
	// A world without steps need not go with them.
	if _, err := s.WorldPlan(Size{Backends: 1}); err != nil {
		t.Errorf("a world of one backend is refused: %v", err)
	}
	if s.World.Backends != 2 {
		t.Error("Plan has changed the scenario")
	}
}

// TestPlanJSON: a plan is the same bytes on every host.
func TestPlanJSON(t *testing.T) {
	for _, name := range []string{"flush-multi-backend", "timeout-one-day", "three-nodes", "nodeport-single-backend", "pod-ip-reuse", "udp-stale-endpoint"} {
		text, err := planOf(t, find(t, name)).JSON()
		if err != nil {
			t.Fatal(err)
		}
		golden.Text(t, "plan/"+name+".json", string(text)+"\n")
	}
}
