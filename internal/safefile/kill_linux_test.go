package safefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
)

// actVariable is what a child of a test does instead of testing, and with which path.
const actVariable = "CTSIM_TEST_ACT"

// acts are what is killed.
var acts = map[string]func(path string) error{
	"Check": Check,
	"Write": func(path string) error { return Write(path, saying("ours")) },
	"Create": func(path string) error {
		f, err := Create(path)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, "ours")
		return errors.Join(err, f.Close())
	},
	"Replace":         replaceReport,
	"ReplaceOldStyle": func(path string) error { rename = flagless; return replaceReport(path) },
}

// flagless is renameat2 on a file system that knows none of its flags, as NFS.
func flagless(fromDir int, from string, toDir int, to string, flags uint) error {
	if flags != 0 {
		return unix.EINVAL
	}
	return unix.Renameat(fromDir, from, toDir, to)
}

// replaceReport makes the folder, that above it, and its files a and b.
func replaceReport(path string) error {
	f, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer f.Close()
	isReport := func(e *Earlier) error {
		if slices.Sort(e.Names); !slices.Equal(e.Names, []string{"a", "b"}) {
			return fmt.Errorf("it holds %v: %w", e.Names, ErrForeign)
		}
		return nil
	}
	if err := f.CheckReplace(filepath.Base(path), isReport); err != nil {
		return err
	}
	return f.Replace(filepath.Base(path), isReport, func(d *Draft) error {
		return errors.Join(d.Write("a", saying("ours")), d.Write("b", saying("ours")))
	})
}

func TestMain(m *testing.M) {
	if name, path, ok := strings.Cut(os.Getenv(actVariable), " "); ok {
		if err := acts[name](path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func act(name, path string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	if exe, err := os.Executable(); err == nil {
		cmd.Path = exe
	}
	cmd.Env = append(os.Environ(), actVariable+"="+name+" "+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// content is what is at a path: a file's text, a folder's names with the text of each.
func content(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return "nothing"
		}
		must(t, err)
		return string(data)
	}
	var all []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(path, e.Name()))
		must(t, err)
		all = append(all, e.Name()+"="+string(data))
	}
	return strings.Join(all, " ")
}

// TestKilled: killed at each call that changes the file system, a writer leaves the earlier file or the new one, and the
// next writer takes away whatever else it has left.
func TestKilled(t *testing.T) {
	const before, after = "a=earlier b=earlier", "a=ours b=ours"
	for _, c := range []struct {
		act     string
		earlier bool
		folder  bool
		// partial is what may be there besides the two.
		partial string
	}{
		{"Check", true, false, ""}, {"Write", false, false, ""}, {"Write", true, false, ""},
		{"Create", true, false, "_"}, // it grows, so it may be empty; never gone
		{"Replace", false, true, ""}, {"Replace", true, true, ""},
		{"ReplaceOldStyle", false, true, ""}, {"ReplaceOldStyle", true, true, "nothing"}, // put back by the next one
	} {
		t.Run(fmt.Sprintf("%s,earlier=%v", c.act, c.earlier), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				dir := filepath.Join(t.TempDir(), "dir")
				path, first, last := filepath.Join(dir, "at"), "earlier", "ours"
				if c.act == "Check" {
					last = first
				}
				if c.folder {
					path, first, last = filepath.Join(dir, "made", "at"), before, after
				}
				if !c.folder || c.earlier {
					must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				}
				switch {
				case !c.earlier:
					first = "nothing"
				case c.folder:
					must(t, os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "a"), []byte("earlier"), 0o644),
						os.WriteFile(filepath.Join(path, "b"), []byte("earlier"), 0o644))
				default:
					must(t, os.WriteFile(path, []byte("earlier"), 0o644))
				}
				traced := kerneltest.KillAt(t, act(c.act, path), n)
				if !traced.Killed {
					if traced.Code != 0 || n < 4 {
						t.Errorf("it ended with %d after %q", traced.Code, traced.Calls)
					}
					t.Logf("%d calls: %q", len(traced.Calls), traced.Calls)
					return
				}
				where := fmt.Sprintf("killed at %s, call %d", traced.Calls[n-1], n)
				got := content(t, path)
				if got == "" {
					got = "_"
				}
				switch {
				case got == first || got == last || got == c.partial && c.partial == "_":
				case got == c.partial: // it is beside its place, and comes back
					in, err := os.Open(filepath.Dir(path))
					must(t, err)
					sweep(in)
					must(t, in.Close())
					if again := content(t, path); again != first {
						t.Errorf("%s: what was there does not come back: %s", where, again)
					}
				default:
					t.Errorf("%s: there is %q", where, got)
				}
				write := c.act
				if write == "Check" {
					write, last = "Write", "ours"
				}
				if out, err := act(write, path).Output(); err != nil {
					t.Errorf("%s: the next one fails: %v %s", where, err, out)
				}
				if got := content(t, path); got != last {
					t.Errorf("%s: after the next one there is %q", where, got)
				}
				nothingElse(t, filepath.Dir(path), "at")
				if c.folder {
					nothingElse(t, dir, "made")
				}
			}
		})
	}
}

// TestSweepsOnlyItsOwn: of folders that are named as ctsim's unfinished ones are, only those go that ctsim has made and
// that nobody works in.
func TestSweepsOnlyItsOwn(t *testing.T) {
	needUsers(t)
	dir := t.TempDir()
	mine := folderOf(t, filepath.Join(dir, ".ctsim-notes"), 0, 0o700)
	must(t, os.WriteFile(filepath.Join(mine, "new"), []byte("mine"), 0o600))
	folderOf(t, filepath.Join(dir, ".ctsim-open"), 0, 0o755)
	folderOf(t, filepath.Join(dir, ".ctsim-his"), stranger, 0o700)
	folderOf(t, filepath.Join(dir, ".ctsim-empty"), 0, 0o700) // killed before it was marked
	must(t, os.WriteFile(filepath.Join(dir, ".ctsim-file"), nil, 0o600))
	linkOf(t, mine, filepath.Join(dir, ".ctsim-link"), 0)
	in, err := os.Open(dir)
	must(t, err)
	defer in.Close()
	busy, err := newScratch(in)
	must(t, err)
	copied := folderOf(t, filepath.Join(dir, ".ctsim-copied"), 0, 0o700) // another folder's mark proves nothing
	marker, err := busy.marker()
	must(t, err, os.WriteFile(filepath.Join(copied, marker), nil, 0o600))
	left, err := newScratch(in)
	must(t, err, left.self.Close())
	must(t, Write(filepath.Join(dir, "file"), saying("ours")))
	want := []string{".ctsim-copied", ".ctsim-file", ".ctsim-his", ".ctsim-link", ".ctsim-notes", ".ctsim-open", busy.name, "file"}
	slices.Sort(want)
	nothingElse(t, dir, want...)
	holds(t, filepath.Join(mine, "new"), "mine")
	must(t, busy.close())
}
