package report

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario/result"
)

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
	}
}

// nothingElse holds that a folder has these names and no other: nothing half-written is left.
func nothingElse(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %v, want %v", dir, got, want)
	}
}

func TestFolder(t *testing.T) {
	r := &result.Result{Schema: result.SchemaVersion, Scenario: "flush", Saved: []evidence.SavedRules{{Node: "master", Before: "*nat", After: "*nat"}}}
	dir := filepath.Join(t.TempDir(), "new", "folder")
	names := []string{"report.html", "report.txt", "result.json", "rules-master-after.txt", "rules-master-before.txt"}
	for range 2 { // the second time it replaces the first
		if err := CheckFolder(dir, r.Scenario); err != nil {
			t.Fatal(err)
		}
		path, err := Folder(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		nothingElse(t, path, names...)
		nothingElse(t, dir, "flush")
	}
	// What somebody put there in the meantime is not deleted.
	note := filepath.Join(dir, "flush", "notes.md")
	if err := os.WriteFile(note, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CheckFolder(dir, r.Scenario); err == nil || !strings.Contains(err.Error(), "notes.md") {
		t.Errorf("a folder with more than a report: %v", err)
	}
	if _, err := Folder(dir, r); err == nil {
		t.Error("it was replaced")
	}
	holds(t, note, "mine")
	nothingElse(t, dir, "flush")
}

// TestFolderTogether holds that runs which write into one folder at the same time leave one report, a whole one.
func TestFolderTogether(t *testing.T) {
	r := &result.Result{Schema: result.SchemaVersion, Scenario: "flush"}
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := Folder(dir, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	nothingElse(t, dir, "flush")
	nothingElse(t, filepath.Join(dir, "flush"), "report.html", "report.txt", "result.json")
}
