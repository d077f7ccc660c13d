package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/internal/printable"
)

// TestKernelRunShowsNothingHidden: what programs print and what a file says of them is shown, in a run's report, on its
// prompt, in every file of its report and in the capture file's comments, with nothing that a terminal acts on.
func TestKernelRunShowsNothingHidden(t *testing.T) {
	t.Parallel()
	b := newBinary(t, systemtest.Callers[0])
	file, out := filepath.Join(b.Tmp, "right.yaml"), filepath.Join(b.Tmp, "out")
	if err := os.WriteFile(file, []byte(accepted()), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := b.Run(t, "run", "-f", file, "--allow-exec", "commands", "--verbose", "--report", out)
	if code != 0 || !strings.Contains(stdout, "\uFFFD[2J") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	told := map[string]string{"stdout": stdout, "stderr": stderr}
	files, err := filepath.Glob(filepath.Join(out, "*", "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".pcapng" {
			for _, hidden := range []string{"\x1b[", "\u202e", "\u009b", "\u200b"} {
				if bytes.Contains(data, []byte(hidden)) {
					t.Errorf("%s holds %q", file, hidden)
				}
			}
			continue
		}
		told[file] = string(data)
	}
	told["stdout of --step"], told["stderr of --step"], _ = b.Run(t, "run", "-f", file, "--allow-exec", "commands", "--step")
	for name, text := range told {
		if !printable.IsText(text) || strings.Contains("\n"+text, "\nFORGED") {
			t.Errorf("%s has what cannot be seen, or a line that is not ctsim's:\n%q", name, text)
		}
	}
	for _, name := range []string{file, out} {
		if err := os.RemoveAll(name); err != nil {
			t.Error(err)
		}
	}
}
