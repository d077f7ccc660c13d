package replay

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// balanceCases are the scenarios of testdata/balance.
func balanceCases(t *testing.T) []scenario.Scenario {
	t.Helper()
	files, err := filepath.Glob("testdata/balance/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var out []scenario.Scenario
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lib, err := scenario.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, lib.Scenarios...)
	}
	return out
}

// Dead, dying, idle and closed connections have the outcome that a kernel shows, and it rests on items that rest on facts;
// expecting survival of one that did not survive never passes.
func TestKernelBalance(t *testing.T) {
	needKernel(t)
	for _, s := range balanceCases(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r := replayed(context.Background(), t, s, Options{})
			want := verdict.Pass
			if s.Expect.Outcome == account.Survived && s.Title[:2] == "no" { // "not used …": nobody can tell
				want = verdict.Inconclusive
			}
			if r.Verdict != want {
				t.Errorf("%s: %s", r.Verdict, r.Reason)
			}
			if err := resulttest.Resting(r); err != nil {
				t.Error(err)
			}
			if t.Failed() || testing.Verbose() {
				t.Log(r.Reason)
				for _, c := range r.Connections {
					t.Logf("%+v", c.Balance)
				}
			}
		})
	}
}

// Without the events of conntrack survival cannot be told, and the verdict says so.
func TestKernelSurvivalNeedsConntrack(t *testing.T) {
	needKernel(t)
	for _, s := range balanceCases(t) {
		if s.Name != "used-after-flush" {
			continue
		}
		r := replayed(context.Background(), t, s, Options{Watch: []evidence.Source{evidence.FromPackets, evidence.FromSockets}})
		if r.Verdict != verdict.Inconclusive {
			t.Errorf("%s: %s", r.Verdict, r.Reason)
		}
		return
	}
	t.Error("there is no such case")
}

// Both ends of every connection are read at the end, however many there are.
func TestKernelEndsOfMany(t *testing.T) {
	needKernel(t)
	for _, s := range balanceCases(t) {
		if s.Name != "many" {
			continue
		}
		r := replayed(context.Background(), t, s, Options{})
		if r.Verdict != verdict.Pass {
			t.Errorf("%s: %s", r.Verdict, r.Reason)
		}
		for _, c := range r.Connections {
			sockets := 0
			for _, i := range c.Balance {
				if i.What == account.ItemSocket && len(i.Facts) > 0 {
					sockets++
				}
			}
			if sockets != 2 {
				t.Errorf("connection %d: %d sockets: %+v", c.ID, sockets, c.Balance)
			}
		}
	}
}
