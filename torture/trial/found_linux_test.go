package trial

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/scenario"
)

// What ctsim and the oracle once disagreed on, and one scenario for each kind of outcome beside: now they agree.
// scenario/replay holds the same scenarios against what a kernel shows.
func TestKernelFound(t *testing.T) {
	kerneltest.Need(t)
	files, err := filepath.Glob("../../scenario/replay/testdata/balance/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lib, err := scenario.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range lib.Scenarios {
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				plan, err := s.Plan(scenario.Size{})
				if err != nil {
					t.Fatal(err)
				}
				tried, err := runPlan(context.Background(), plan)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range tried.Findings() {
					t.Errorf("%s\n%s\n%s", f.Kind, f.Text, tried.Ends())
				}
			})
		}
	}
}
