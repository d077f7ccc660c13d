package report

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario/result"
)

func saying(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

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

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	for _, word := range []string{"one", "two"} {
		if err := errors.Join(CheckFile(file), WriteFile(file, saying(word))); err != nil {
			t.Fatal(err)
		}
		holds(t, file, word)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(CheckFile(link), WriteFile(link, saying("three"))); err != nil {
		t.Fatal(err)
	}
	holds(t, file, "three")
	if to, err := os.Readlink(link); to != "file" {
		t.Errorf("the link is gone: %v", err)
	}
	failure := errors.New("disk full")
	if err := WriteFile(file, func(w io.Writer) error { return errors.Join(saying("half")(w), failure) }); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	holds(t, file, "three")
	nothingElse(t, dir, "file", "link")
}

// TestWriteFileSpecial holds that what is no file stays what it is: root may well replace /dev/null.
func TestWriteFileSpecial(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckFile(pipe); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		data, err := os.ReadFile(pipe)
		if err != nil {
			t.Error(err)
		}
		got <- string(data)
	}()
	if err := WriteFile(pipe, saying("packets")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "packets" {
		t.Errorf("the pipe gave %q", s)
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the pipe is no pipe any more: %v, %v", info, err)
	}
	// A device that is not the machine's own: only a link to it is at risk here.
	device := filepath.Join(dir, "null")
	if err := os.Symlink(os.DevNull, device); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(CheckFile(device), WriteFile(device, saying("packets"))); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(device); to != os.DevNull {
		t.Errorf("the link to a device is gone: %v", err)
	}
	nothingElse(t, dir, "null", "pipe")

	if err := CheckFile(dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory as a file: %v", err)
	}
	lost := filepath.Join(dir, "lost")
	if err := os.Symlink("nowhere", lost); err != nil {
		t.Fatal(err)
	}
	if err := CheckFile(lost); err == nil {
		t.Error("a link that leads nowhere is taken for a file")
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

// TestFolderKilled holds that what a killed run has left unfinished is gone after the next one.
func TestFolderKilled(t *testing.T) {
	r := &result.Result{Schema: result.SchemaVersion, Scenario: "flush"}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".ctsim-report-1", "new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Folder(dir, r); err != nil {
		t.Fatal(err)
	}
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
