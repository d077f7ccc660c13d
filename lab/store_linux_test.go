package lab

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStore(t *testing.T) {
	s := &Store{dir: filepath.Join(t.TempDir(), "ctsim"), mode: 0o700}
	if names, err := s.Names(); len(names) != 0 || err != nil {
		t.Errorf("an empty store: %v %v", names, err)
	}
	if _, err := s.Load("a"); !errors.Is(err, ErrNone) {
		t.Errorf("load: %v, want %v", err, ErrNone)
	}
	if _, err := s.lock(t.Context(), "a"); !errors.Is(err, ErrNone) {
		t.Errorf("lock: %v, want %v", err, ErrNone)
	}
	// Of many who want a name one gets it.
	var group sync.WaitGroup
	errs := make(chan error, 20)
	for range cap(errs) {
		r := record(t, "a", "flush-multi-backend", 0, 0)
		group.Go(func() { _, err := s.Reserve(r); errs <- err })
	}
	group.Wait()
	close(errs)
	got := 0
	for err := range errs {
		if err == nil {
			got++
		} else if !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
	}
	if got != 1 {
		t.Errorf("%d got the name", got)
	}
	if diff := cmp.Diff([]string{filepath.Join(s.dir, "a")}, inside(t, s.dir)); diff != "" {
		t.Error(diff)
	}
	r, err := s.Load("a")
	if err != nil || r.Name != "a" || len(r.ID) != 32 {
		t.Errorf("load: %+v %v", r, err)
	}
	if err := s.remove("a"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder stays when the last lab has gone: %v", err)
	}
}

func inside(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	return append(all, hidden...)
}

// TestStoreIsSafe: a folder that others could have written to is not believed.
func TestStoreIsSafe(t *testing.T) {
	base := t.TempDir()
	open := filepath.Join(base, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link, file := filepath.Join(base, "link"), filepath.Join(base, "file")
	if err := errors.Join(os.Symlink(t.TempDir(), link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{open: "can be written by others", link: "is no folder", file: "is no folder"} {
		s := &Store{dir: dir, mode: 0o700}
		_, namesErr := s.Names()
		_, loadErr := s.Load("a")
		_, reserveErr := s.Reserve(record(t, "a", "flush-multi-backend", 0, 0))
		for _, err := range []error{namesErr, loadErr, reserveErr} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", dir, err, want)
			}
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	s := &Store{dir: t.TempDir(), mode: 0o700}
	for name, text := range map[string]string{"cut": `{"format": 1, "na`, "later": `{"format": 99, "name": "later"}`,
		"moved": `{"format": 1, "name": "other"}`} {
		if err := os.Mkdir(s.folder(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.folder(name), recordFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Load(name); err == nil || errors.Is(err, ErrNone) {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	records, left, err := s.broken()
	if err != nil || len(records) != 0 || len(left) != 3 {
		t.Errorf("broken: %+v %+v %v", records, left, err)
	}
}

// TestUnknown: of the namespaces named as ctsim's would be, those of labs stay, though a lab be half built.
func TestUnknown(t *testing.T) {
	up, half := record(t, "up", "flush-multi-backend", 0, 0), record(t, "half", "flush-multi-backend", 0, 0)
	up.NamesDir, up.Complete, half.NamesDir = netnsDir, true, netnsDir
	gone := record(t, "gone", "flush-multi-backend", 0, 0)
	strays, foreign := unknown([]named{
		{up.path("client"), up.mark()}, {half.path("client"), half.mark()}, {half.path("master"), ""},
		{netnsDir + "/ctsim-gone-client", gone.mark()}, {up.path("master"), ""}, {netnsDir + "/ctsim-mine", ""},
	}, []*Record{up, half})
	if len(strays) != 1 || strays[0].Name != "ctsim-gone-client" {
		t.Errorf("strays: %+v", strays)
	}
	if want := []string{"ctsim-up-master", "ctsim-mine"}; !slices.Equal(foreign, want) {
		t.Errorf("foreign: %q, want %q", foreign, want)
	}
}

func TestProcess(t *testing.T) {
	me, err := self()
	if err != nil || !me.alive() {
		t.Errorf("this process: %+v %v", me, err)
	}
	me.Start++
	if me.alive() {
		t.Error("another process with the same number counts as alive")
	}
	if (Process{PID: 1 << 30}).alive() {
		t.Error("no process counts as alive")
	}
}

func TestStatusOfWhatIsNot(t *testing.T) {
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	gone := Process{PID: me.PID, Start: me.Start + 1}
	for want, change := range map[string]func(*Record){
		"broken the machine was restarted":                          func(r *Record) { r.Boot = "another" },
		"broken it was not finished":                                func(r *Record) { r.Builder = gone },
		"starting ":                                                 func(r *Record) { r.Builder = me },
		"broken namespace ctsim-x-master is gone":                   func(r *Record) { r.Complete = true },
		"broken its process " + strconv.Itoa(me.PID) + " has ended": func(r *Record) { r.Complete, r.Holder = true, &me }, // alive, but not with the mark
	} {
		r := record(t, "x", "flush-multi-backend", 0, 0)
		r.Boot, r.NamesDir = boot, t.TempDir()
		change(r)
		if s := r.Status(); string(s.State)+" "+s.Reason != want {
			t.Errorf("%+v, want %s", s, want)
		}
	}
}
