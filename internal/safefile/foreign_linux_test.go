package safefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stranger and friend are users who are not root; friend is the one who calls sudo.
const (
	stranger = 12345
	friend   = 12346
)

// needUsers skips where there are no users besides root.
func needUsers(t *testing.T) {
	t.Helper()
	f := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(f, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(f, stranger, stranger); err != nil {
		t.Skipf("needs root over other users: %v", err)
	}
}

// must ends a test if any of the preparations has failed.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// folderOf makes a folder of a user's.
func folderOf(t *testing.T, path string, uid int, mode uint32) string {
	t.Helper()
	must(t, os.Mkdir(path, 0o700), os.Lchown(path, uid, uid), syscall.Chmod(path, mode))
	return path
}

// linkOf makes a symbolic link of a user's.
func linkOf(t *testing.T, to, path string, uid int) {
	t.Helper()
	must(t, os.Symlink(to, path), os.Lchown(path, uid, uid))
}

// looks is what can be seen of a file from outside.
func looks(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%03o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
}

var writers = map[string]func(path string) error{
	"Write": func(path string) error { return Write(path, saying("ours")) },
	"Create": func(path string) error {
		f, err := Create(path)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, "ours")
		return errors.Join(err, f.Close())
	},
}

// TestStrangersLink: a symbolic link that another user can have put there is not followed, at no place of a path; the file
// it leads to stays as it is. The user's own links are.
func TestStrangersLink(t *testing.T) {
	needUsers(t)
	for name, c := range map[string]struct {
		folder int // whose
		mode   uint32
		link   int
		hard   bool // the link is a second name of one that stands elsewhere
		sudo   bool
		follow bool
	}{
		"a stranger's, in root's folder":           {0, 0o755, stranger, false, false, false},
		"a stranger's, in his folder":              {stranger, 0o755, stranger, false, false, false},
		"a stranger's, in one like /tmp":           {0, 0o1777, stranger, false, false, false},
		"root's, in a stranger's folder":           {stranger, 0o755, 0, false, false, false},
		"root's, in a folder open to all":          {0, 0o777, 0, false, false, false},
		"a second name of root's, in /tmp":         {0, 0o1777, 0, true, false, false},
		"root's, in one like /tmp of a stranger's": {stranger, 0o1777, 0, false, false, false},
		"another user's than sudo's":               {friend, 0o755, stranger, false, true, false},
		"that of who would call sudo, without it":  {friend, 0o755, friend, false, false, false},
		"root's own":                       {0, 0o755, 0, false, false, true},
		"root's own, in one like /tmp":     {0, 0o1777, 0, false, false, true},
		"that of the user who called sudo": {friend, 0o755, friend, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SUDO_UID", "")
			if c.sudo {
				t.Setenv("SUDO_UID", fmt.Sprint(friend))
				t.Setenv("SUDO_GID", fmt.Sprint(friend))
			}
			dir := t.TempDir()
			target := folderOf(t, filepath.Join(dir, "target"), 0, 0o700)
			secret := filepath.Join(target, "secret")
			must(t, os.WriteFile(secret, []byte("secret"), 0o600))
			folder := folderOf(t, filepath.Join(dir, "folder"), c.folder, c.mode)
			toFile, toFolder := filepath.Join(folder, "file"), filepath.Join(folder, "way")
			linkOf(t, "../target/secret", toFile, c.link)
			linkOf(t, "../target", toFolder, c.link)
			if c.hard {
				for _, path := range []string{toFile, toFolder} {
					elsewhere := filepath.Join(dir, filepath.Base(path))
					must(t, os.Rename(path, elsewhere))
					if err := unix.Linkat(unix.AT_FDCWD, elsewhere, unix.AT_FDCWD, path, 0); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, path := range []string{toFile, filepath.Join(toFolder, "secret"), filepath.Join(toFolder, "new")} {
				for how, write := range writers {
					before := looks(t, path)
					err := errors.Join(Check(path), write(path))
					if (err == nil) != c.follow {
						t.Errorf("%s %s: %v", how, path, err)
					}
					if c.follow {
						continue
					}
					if err == nil || !strings.Contains(err.Error(), "is a symbolic link that another user may have put there") {
						t.Errorf("%s: %v", how, err)
					}
					if after := looks(t, path); after != before {
						t.Errorf("%s %s: it was %s and is %s", how, path, before, after)
					}
				}
			}
			if _, err := OpenFolder(filepath.Join(toFolder, "deep")); (err == nil) != c.follow {
				t.Errorf("a folder beyond the link: %v", err)
			}
			want := map[bool]string{false: "secret", true: "ours"}[c.follow]
			holds(t, secret, want)
			if got := looks(t, secret); got != "600 0:0" {
				t.Errorf("the file is %s", got)
			}
			if !c.follow {
				nothingElse(t, target, "secret")
			}
		})
	}
}

// TestStrangersThings: what belongs to another user is not replaced, nor written into.
func TestStrangersThings(t *testing.T) {
	needUsers(t)
	dir := folderOf(t, filepath.Join(t.TempDir(), "open"), 0, 0o1777)
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	must(t, os.WriteFile(file, []byte("his"), 0o666), os.Lchown(file, stranger, stranger),
		syscall.Mkfifo(pipe, 0o666), os.Lchown(pipe, stranger, stranger))
	for _, path := range []string{file, pipe} {
		for how, write := range writers {
			for _, err := range []error{Check(path), write(path)} {
				if err == nil || err.Error() != "what is there belongs to another user (uid 12345)" {
					t.Errorf("%s %s: %v", how, path, err)
				}
			}
		}
	}
	holds(t, file, "his")
	folderOf(t, filepath.Join(dir, "report"), stranger, 0o777)
	f, err := OpenFolder(dir)
	must(t, err)
	defer f.Close()
	anything := func(*Earlier) error { return nil }
	for _, err := range []error{f.CheckReplace("report", anything), f.Replace("report", anything, func(*Draft) error { return nil })} {
		if err == nil || err.Error() != "the folder report belongs to another user (uid 12345)" {
			t.Errorf("a stranger's report: %v", err)
		}
	}
	if got := looks(t, filepath.Join(dir, "report")); got != "777 12345:12345" {
		t.Errorf("it is %s", got)
	}
	nothingElse(t, dir, "file", "pipe", "report")
}

// TestSecondName: a file is replaced in the folder, not written into: another name of it keeps what it had.
func TestSecondName(t *testing.T) {
	for how, write := range writers {
		dir := t.TempDir()
		secret, name := filepath.Join(dir, "secret"), filepath.Join(dir, "name")
		must(t, os.WriteFile(secret, []byte("secret"), 0o600), os.Link(secret, name), write(name))
		holds(t, secret, "secret")
		holds(t, name, "ours")
		if got := looks(t, name)[:3]; got != "600" {
			t.Errorf("%s: the mode is %s", how, got)
		}
	}
}

// TestDress: a file keeps the permissions of the one it replaces, and its owner; under sudo, what is new is the user's who
// called it.
func TestDress(t *testing.T) {
	needUsers(t)
	for how, write := range writers {
		for name, c := range map[string]struct {
			sudo, there bool
			uid, gid    int
			mode        os.FileMode
			want        string
		}{
			"new":                               {false, false, 0, 0, 0, "644 0:0"},
			"new, sudo":                         {true, false, 0, 0, 0, "644 12346:12346"},
			"private":                           {false, true, 0, 0, 0o600, "600 0:0"},
			"for a group":                       {false, true, 0, 77, 0o640, "640 0:77"},
			"root's, sudo":                      {true, true, 0, 0, 0o600, "600 0:0"},
			"the user's, sudo":                  {true, true, friend, 77, 0o660, "660 12346:77"},
			"with a bit that is not for a file": {false, true, 0, 0, 0o755 | os.ModeSetuid, "755 0:0"},
		} {
			t.Run(how+", "+name, func(t *testing.T) {
				t.Setenv("SUDO_UID", "")
				if c.sudo {
					t.Setenv("SUDO_UID", fmt.Sprint(friend))
					t.Setenv("SUDO_GID", fmt.Sprint(friend))
				}
				path := filepath.Join(t.TempDir(), "file")
				if c.there {
					must(t, os.WriteFile(path, nil, 0o600), os.Lchown(path, c.uid, c.gid), os.Chmod(path, c.mode))
				}
				must(t, write(path))
				if got := looks(t, path); got != c.want {
					t.Errorf("it is %s, want %s", got, c.want)
				}
			})
		}
	}
}

// TestFolderDress: the same for folders of files, and for those that are made on the way.
func TestFolderDress(t *testing.T) {
	needUsers(t)
	t.Setenv("SUDO_UID", fmt.Sprint(friend))
	t.Setenv("SUDO_GID", fmt.Sprint(friend))
	dir := t.TempDir()
	replace := func() {
		t.Helper()
		f, err := OpenFolder(filepath.Join(dir, "a", "b"))
		must(t, err)
		defer f.Close()
		must(t, f.Replace("report", func(*Earlier) error { return nil }, func(d *Draft) error {
			return errors.Join(d.Write("old", saying("x")), d.Write("other", saying("x")))
		}))
	}
	replace()
	report := filepath.Join(dir, "a", "b", "report")
	for path, want := range map[string]string{"a": "755", "a/b": "755", "a/b/report": "755", "a/b/report/old": "644"} {
		if got := looks(t, filepath.Join(dir, path)); got != want+" 12346:12346" {
			t.Errorf("%s is %s", path, got)
		}
	}
	must(t, os.Chmod(report, 0o700), os.Chmod(filepath.Join(report, "old"), 0o600), os.Remove(filepath.Join(report, "other")))
	replace()
	for path, want := range map[string]string{"": "700", "old": "600", "other": "644"} {
		if got := looks(t, filepath.Join(report, path)); got != want+" 12346:12346" {
			t.Errorf("%s of a report that was there is %s", path, got)
		}
	}
}

// TestRace: while root writes, a stranger changes what is on the way and at its end, in a folder that is his. Nothing is
// ever written elsewhere.
func TestRace(t *testing.T) {
	needUsers(t)
	dir := t.TempDir()
	victim := folderOf(t, filepath.Join(dir, "victim"), 0, 0o700)
	secret := filepath.Join(victim, "file")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	his := folderOf(t, filepath.Join(dir, "his"), stranger, 0o777)
	way, spare := folderOf(t, filepath.Join(his, "way"), stranger, 0o777), filepath.Join(his, "spare")
	linkOf(t, victim, spare, stranger)
	linkOf(t, secret, filepath.Join(way, "file"), stranger)
	var stop atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; !stop.Load(); i++ {
			_ = unix.Renameat2(unix.AT_FDCWD, way, unix.AT_FDCWD, spare, unix.RENAME_EXCHANGE)
			if i%2 == 1 {
				_ = os.Remove(filepath.Join(way, "file"))
				_ = os.Symlink(secret, filepath.Join(way, "file"))
				_ = os.Lchown(filepath.Join(way, "file"), stranger, stranger)
			}
		}
	}()
	wrote := 0
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); {
		if Write(filepath.Join(way, "file"), saying("ours")) == nil {
			wrote++
		}
		if f, err := OpenFolder(filepath.Join(way, "made")); err == nil {
			_ = f.Replace("report", func(*Earlier) error { return nil }, func(d *Draft) error { return d.Write("file", saying("ours")) })
			_ = f.Close()
			wrote++
		}
	}
	stop.Store(true)
	<-ended
	holds(t, secret, "secret")
	if got := looks(t, secret); got != "600 0:0" {
		t.Errorf("the secret is %s", got)
	}
	nothingElse(t, victim, "file")
	if wrote == 0 {
		t.Error("nothing was ever written: the attack has not met what it is against")
	}
}
