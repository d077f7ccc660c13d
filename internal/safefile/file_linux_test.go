package safefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	for _, word := range []string{"one", "two"} {
		if err := errors.Join(Check(file), Write(file, saying(word))); err != nil {
			t.Fatal(err)
		}
		holds(t, file, word)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Check(link), Write(link, saying("three"))); err != nil {
		t.Fatal(err)
	}
	holds(t, file, "three")
	if to, err := os.Readlink(link); to != "file" {
		t.Errorf("the link is gone: %v", err)
	}
	failure := errors.New("disk full")
	if err := Write(file, func(w io.Writer) error { return errors.Join(saying("half")(w), failure) }); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	holds(t, file, "three")
	nothingElse(t, dir, "file", "link")
}

// TestSpecial holds that what is no file stays what it is: root may well replace /dev/null.
func TestSpecial(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(pipe); err != nil {
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
	if err := Write(pipe, saying("packets")); err != nil {
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
	if err := errors.Join(Check(device), Write(device, saying("packets"))); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(device); to != os.DevNull {
		t.Errorf("the link to a device is gone: %v", err)
	}
	nothingElse(t, dir, "null", "pipe")

	if err := Check(dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory as a file: %v", err)
	}
	lost := filepath.Join(dir, "lost")
	if err := os.Symlink("nowhere", lost); err != nil {
		t.Fatal(err)
	}
	if err := Check(lost); err == nil {
		t.Error("a link that leads nowhere is taken for a file")
	}
}
