package safefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// scratch is a folder for what is not finished, inside the folder that it is for. Nobody else can look into it.
type scratch struct {
	in, self *os.File
	name     string
}

const (
	// unfinished is how scratch folders are called.
	unfinished = ".ctsim-"
	// fresh is what is being made in one.
	fresh = "new"
	// earlier begins the name of what was moved out of the way for it, and has to be moved back if it stays there.
	earlier = "old-"
)

// newScratch makes a scratch folder in another one, which stays the caller's to close.
func newScratch(in *os.File) (*scratch, error) {
	for {
		name := unfinished + strings.ToLower(rand.Text()[:10])
		err := unix.Mkdirat(int(in.Fd()), name, 0o700)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := openScratch(in, name)
		if err == nil {
			err = s.mark()
		}
		if err == nil {
			return s, nil
		}
		if s != nil {
			_ = s.self.Close()
		}
		// Until it is marked, another ctsim may take it for one that was left by a killed one.
		if !errors.Is(err, errBusy) && !errors.Is(err, unix.ENOENT) {
			return nil, errors.Join(err, unix.Unlinkat(int(in.Fd()), name, unix.AT_REMOVEDIR))
		}
	}
}

// errBusy is matched if somebody else has locked a scratch folder.
var errBusy = errors.New("another process works there")

// openScratch opens a folder that looks like a scratch folder of this user's, and locks it.
func openScratch(in *os.File, name string) (*scratch, error) {
	fd, err := unix.Openat(int(in.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &scratch{in, os.NewFile(uintptr(fd), name), name}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0) {
		err = errors.New("it is not this user's alone")
	}
	if err == nil && errors.Is(ignoringEINTR(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }), unix.EWOULDBLOCK) {
		err = errBusy
	}
	if err != nil {
		return nil, errors.Join(err, s.self.Close())
	}
	return s, nil
}

// marker is the name of the file by which a folder is known as a scratch folder.
func (s *scratch) marker() (string, error) {
	var st unix.Stat_t
	err := unix.Fstat(s.fd(), &st)
	return fmt.Sprintf("made-by-ctsim-%d", st.Ino), err
}

func (s *scratch) mark() error {
	name, err := s.marker()
	if err != nil {
		return err
	}
	fd, err := unix.Openat(s.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (s *scratch) fd() int { return int(s.self.Fd()) }

// folder makes the new folder, the caller's, with the permissions given or, without any, those that the umask leaves.
func (s *scratch) folder(c caller, perm uint32) error {
	if err := unix.Mkdirat(s.fd(), fresh, 0o755); err != nil {
		return err
	}
	fd, err := unix.Openat(s.fd(), fresh, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if perm != 0 {
		err = unix.Fchmod(fd, perm)
	}
	return errors.Join(err, c.give(fd))
}

// rename moves what was made to its place.
func (s *scratch) rename(to string, flags uint) error {
	return rename(s.fd(), fresh, int(s.in.Fd()), to, flags)
}

// rename is the system call; a file system may know no flags, for which a test stands in.
var rename = unix.Renameat2

// close takes the scratch folder away with all that is in it.
func (s *scratch) close() error {
	defer s.self.Close()
	marker, err := s.marker()
	if err != nil {
		return err
	}
	names, err := namesIn(s.self)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != marker {
			err = errors.Join(err, removeFrom(s.self, name))
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(s.fd(), marker, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	var mine, there unix.Stat_t
	err = errors.Join(unix.Fstat(s.fd(), &mine), unix.Fstatat(int(s.in.Fd()), s.name, &there, unix.AT_SYMLINK_NOFOLLOW))
	if err != nil || mine.Dev != there.Dev || mine.Ino != there.Ino {
		return err // somebody who may write there has moved it
	}
	return unix.Unlinkat(int(s.in.Fd()), s.name, unix.AT_REMOVEDIR)
}

// sweep takes away what ctsim has left in a folder that was killed while it wrote. What cannot be looked at, or be proved
// to be that, stays.
func sweep(in *os.File) {
	all, err := namesIn(in)
	if err != nil {
		return
	}
	for _, name := range all {
		if !strings.HasPrefix(name, unfinished) {
			continue
		}
		if s, err := openScratch(in, name); err == nil {
			s.sweep()
		}
	}
}

func (s *scratch) sweep() {
	names, err := namesIn(s.self)
	marker, err2 := s.marker()
	var st unix.Stat_t
	marked := unix.Fstatat(s.fd(), marker, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
	switch {
	case err != nil || err2 != nil || !marked && len(names) > 0:
		_ = s.self.Close()
		return
	case marked:
		for _, name := range names {
			to, moved := strings.CutPrefix(name, earlier)
			if !moved {
				continue
			}
			// If something is there, it is what this made way for.
			_ = unix.Renameat(s.fd(), name, int(s.in.Fd()), to)
		}
	}
	_ = s.close()
}

// namesIn are the names in a folder that is open, be it for paths only.
func namesIn(dir *os.File) ([]string, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "folder")
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// removeFrom takes a file away, or a folder with the files in it. A folder in that folder is nothing that ctsim makes.
func removeFrom(dir *os.File, name string) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return at(name, err)
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return at(name, err)
	}
	folder := os.NewFile(uintptr(fd), name)
	defer folder.Close()
	names, err := namesIn(folder)
	for _, file := range names {
		err = errors.Join(err, at(filepath.Join(name, file), unix.Unlinkat(fd, file, 0)))
	}
	if err != nil {
		return err
	}
	return at(name, unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR))
}

func at(name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: "remove", Path: name, Err: err}
}

// ignoringEINTR calls again what a signal has interrupted.
func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
