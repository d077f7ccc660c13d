package replay

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// It has a flag of its own because it needs a kernel and gives other bytes each time, which the golden files do not.
var recordEvidence = flag.Bool("record", false, "write evidence/recorded/runs from real runs on this kernel")

// TestKernelRecord runs the scenarios whose evidence the tests of the verdict replay, and with -record keeps it. The
// replay of what was just seen must give the very result of the run.
func TestKernelRecord(t *testing.T) {
	needKernel(t)
	for _, name := range recorded.Names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := builtin.Plan(t, builtin.Find(t, name))
			e, err := Run(context.Background(), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			seen := result.New(p, e)
			if seen.Verdict != verdict.Pass {
				t.Fatalf("%s: %s", seen.Verdict, seen.Reason)
			}
			for i := range e.Packets {
				e.Packets[i].Data = nil // decoded already, and the larger part of a recording
			}
			text, err := recorded.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			again, err := recorded.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			replayed := result.New(p, again)
			if replayed.Verdict != verdict.Pass || replayed.Reason != seen.Reason || !reflect.DeepEqual(replayed.Timeline, seen.Timeline) {
				t.Errorf("the run: %s\nthe replay: %s %s", seen.Reason, replayed.Verdict, replayed.Reason)
			}
			if !*recordEvidence || t.Failed() {
				return
			}
			if err := os.MkdirAll("../../evidence/recorded/runs", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join("../../evidence/recorded/runs", name+".json"), text, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}
