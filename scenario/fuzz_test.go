package scenario_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/scenario/byhand"
)

// FuzzParse: whatever the bytes, Parse does not panic, and gives either problems or scenarios that can be explained,
// drawn and run.
func FuzzParse(f *testing.F) {
	f.Add([]byte(ctsim.Scenarios))
	bad, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range bad {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lib, err := scenario.Parse("f", data)
		var problems scenario.Problems
		switch {
		case err != nil && (!errors.As(err, &problems) || len(problems) == 0 || problems.Error() == ""):
			t.Fatalf("an error that is no Problems: %v", err)
		case (err == nil) == (lib == nil || len(lib.Scenarios) == 0):
			t.Fatalf("library %v and error %v", lib, err)
		case err != nil:
			return
		}
		for _, s := range lib.Scenarios {
			p, err := s.Plan(scenario.Size{})
			if err != nil {
				t.Errorf("%s was accepted and cannot be planned: %v", s.Name, err)
				continue
			}
			if p.Describe() == "" {
				t.Errorf("%s has no description", s.Name)
			}
			if text, err := p.JSON(); err != nil || !json.Valid(text) {
				t.Errorf("%s: %v: %s", s.Name, err, text)
			}
			if err := iptables.Rules(p.Proxy, p.Service).Err(); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
			if err := build.Topology(p).Check(); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
			p.Steps.Walk(func(step scenario.Step) {
				_ = step.Describe() + step.String()
				byhand.Commands(step, byhand.Moment{Plan: p})
			})
		}
	})
}
