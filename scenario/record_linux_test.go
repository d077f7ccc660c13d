package scenario

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// It has a flag of its own because it needs a kernel and gives other bytes each time, which the golden files do not.
var recordEvidence = flag.Bool("record", false, "write testdata/evidence from real runs on this kernel")

// TestKernelRecord runs the scenarios whose evidence the tests of the verdict replay, and with -record keeps it. The
// replay of what was just seen must give the very result of the run.
func TestKernelRecord(t *testing.T) {
	needKernel(t)
	for _, name := range recorded {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planOf(t, find(t, name))
			e, err := Run(context.Background(), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			result := NewResult(p, e)
			if result.Verdict != Pass {
				t.Fatalf("%s: %s", result.Verdict, result.Reason)
			}
			for i := range e.packets {
				e.packets[i].Data = nil // decoded already, and the larger part of a recording
			}
			text, err := json.MarshalIndent(record(reflect.ValueOf(e).Elem()), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			var again evidence
			if err := replay(text, reflect.ValueOf(&again).Elem()); err != nil {
				t.Fatal(err)
			}
			replayed := NewResult(p, &again)
			if replayed.Verdict != Pass || replayed.Reason != result.Reason || !reflect.DeepEqual(replayed.Timeline, result.Timeline) {
				t.Errorf("the run: %s\nthe replay: %s %s", result.Reason, replayed.Verdict, replayed.Reason)
			}
			if !*recordEvidence || t.Failed() {
				return
			}
			if err := os.MkdirAll("testdata/evidence", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join("testdata/evidence", name+".json"), append(text, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}
