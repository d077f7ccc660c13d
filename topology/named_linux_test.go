package topology

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
)

// TestKernelNames: a namespace lives on under its name, is the same one when it is opened again, and goes with it.
func TestKernelNames(t *testing.T) {
	kerneltest.Need(t)
	dir := filepath.Join(t.TempDir(), "names")
	var made []bool
	making := func(folder bool) error { made = append(made, folder); return nil }
	if err := NamesDir(dir, making); err != nil || !slices.Equal(made, []bool{true, false}) {
		t.Fatalf("made %v: %v", made, err)
	}
	if err := NamesDir(dir, making); err != nil || len(made) != 2 {
		t.Errorf("again: made %v: %v", made, err)
	}
	ns, err := NewNamespace("pod")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pod")
	if err = ns.Pin(path); err != nil {
		t.Fatal(err)
	}
	if err = ns.Pin(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err = errors.Join(ns.SetAlias("whose it is"), ns.Close()); err != nil {
		t.Fatal(err)
	}
	if err = UndoNamesDir(dir, true); !errors.Is(err, unix.EBUSY) {
		t.Errorf("with a name in it: %v", err)
	}
	again, err := OpenNamespace("pod", path)
	if err != nil {
		t.Fatal(err)
	}
	if note, err := again.Alias(); note != "whose it is" || err != nil || again.Inode() != ns.Inode() {
		t.Errorf("note %q, inode %d, want %d: %v", note, again.Inode(), ns.Inode(), err)
	}
	if err := errors.Join(again.Close(), Unpin(path), Unpin(path), UndoNamesDir(dir, true)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestKernelAttach: a lab that is put together again from its namespaces can grow and shrink; if one is missing nothing
// stays open.
func TestKernelAttach(t *testing.T) {
	kerneltest.Need(t)
	built, err := Up(t.Context(), testPlan())
	if err != nil {
		t.Fatal(err)
	}
	defer built.Close()
	open := func(name string) (*Namespace, error) {
		return OpenNamespace(name, fmt.Sprintf("/proc/self/fd/%d", built.Namespace(name).Fd()))
	}
	before := openFiles(t)
	if _, err = Attach(testPlan(), func(name string) (*Namespace, error) {
		if name == built.Names()[2] {
			return nil, os.ErrNotExist
		}
		return open(name)
	}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("one is missing: %v", err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before %d", after, before)
	}
	l, err := Attach(testPlan(), open)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := testPlan().Nodes[1]
	added := Pod{Name: "added", Address: n.Gateway().Next()}
	if err := errors.Join(l.AddPod(n.Name, added, nil), l.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	if l.Namespace("added") == nil {
		t.Error("the pod that was added has no namespace")
	}
	if err := l.RemovePod("added"); err != nil {
		t.Error(err)
	}
}
