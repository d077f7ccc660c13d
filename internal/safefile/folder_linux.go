package safefile

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Folder is an open folder.
type Folder struct {
	caller
	self *os.File
}

// OpenFolder opens a folder, which it makes if it is not there, with those above it.
func OpenFolder(path string) (*Folder, error) {
	c := thisCaller()
	dir, err := c.folder(path, true)
	if err != nil {
		return nil, err
	}
	return &Folder{c, dir}, nil
}

// Close closes it.
func (f *Folder) Close() error { return f.self.Close() }

// CheckWritable tells whether files can be made in it; name is how the complaint calls it.
func (f *Folder) CheckWritable(name string) error { return checkWritable(f.self, name) }

// Earlier is a folder that is to be replaced.
type Earlier struct {
	// Names are those of what is in it.
	Names []string
	self  *os.File
	caller
	stat unix.Stat_t
}

// Read gives a file of the folder.
func (e *Earlier) Read(name string) ([]byte, error) {
	fd, err := unix.Openat(int(e.self.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is no file")
	}
	if err := e.check(name, &st); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// perm is what a file of this name is permitted to be; 0 if there is none.
func (e *Earlier) perm(name string) uint32 {
	var st unix.Stat_t
	if e == nil || unix.Fstatat(int(e.self.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	return st.Mode & 0o777
}

// ErrForeign is matched by an error about something that is there and not what may be replaced.
var ErrForeign = errors.New("there is something else already")

// earlier opens what is at a name; nil if nothing is. Its error is that of ok, which is asked about it.
func (f *Folder) earlier(at *os.File, name string, ok func(*Earlier) error) (*Earlier, error) {
	for {
		fd, err := unix.Openat(int(at.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil, nil
		case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			return nil, ErrForeign
		case err != nil:
			return nil, err
		}
		e := &Earlier{self: os.NewFile(uintptr(fd), name), caller: f.caller}
		if err = e.look(name, ok); err == nil {
			return e, nil
		}
		var st unix.Stat_t
		gone := unix.Fstatat(int(at.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		_ = e.self.Close() // not before: another folder would have the inode
		if gone == nil && st.Dev == e.stat.Dev && st.Ino == e.stat.Ino {
			return nil, err
		}
		// Somebody has replaced it meanwhile, and was deleting it while it was looked at.
	}
}

// look reads what is in the folder, and asks ok.
func (e *Earlier) look(name string, ok func(*Earlier) error) (err error) {
	if err = unix.Fstat(int(e.self.Fd()), &e.stat); err != nil {
		return err
	}
	if err = e.check("the folder "+name, &e.stat); err != nil {
		return err
	}
	if e.Names, err = namesIn(e.self); err != nil {
		return err
	}
	return ok(e)
}

// CheckReplace finds what would keep Replace from replacing a folder. Ok is asked about the one that is there.
func (f *Folder) CheckReplace(name string, ok func(*Earlier) error) error {
	e, err := f.earlier(f.self, name, ok)
	if err != nil || e == nil {
		return err
	}
	defer e.self.Close()
	// Moving a folder elsewhere changes its "..", so it takes the right to write in it.
	if err := unix.Faccessat(int(f.self.Fd()), name, unix.W_OK|unix.X_OK, 0); err != nil {
		return fmt.Errorf("it cannot be replaced: %w", err)
	}
	return nil
}

// Draft is a folder while it is written.
type Draft struct {
	caller
	dir     *os.File
	earlier *Earlier
}

// Write writes a file of it, with the permissions of the one that it replaces, if there is one.
func (d *Draft) Write(name string, write func(io.Writer) error) error {
	f, err := makeFile(int(d.dir.Fd()), name)
	if err != nil {
		return err
	}
	if perm := d.earlier.perm(name); perm != 0 {
		err = f.Chmod(os.FileMode(perm))
	}
	if err == nil {
		err = d.give(int(f.Fd()))
	}
	if err == nil {
		err = writeTo(f, write)
	}
	return bare(errors.Join(err, f.Close()))
}

// Replace makes a folder of files, as a whole or not at all, in the place of an earlier one, whose permissions it gets. Ok
// is asked whether that may go, before and after it was moved away. Of several processes that make the same one at the same
// time, the last one's stays.
func (f *Folder) Replace(name string, ok func(*Earlier) error, fill func(*Draft) error) (err error) {
	sweep(f.self)
	e, err := f.earlier(f.self, name, ok)
	if err != nil {
		return err
	}
	perm := uint32(0)
	if e != nil {
		defer e.self.Close()
		perm = e.stat.Mode & 0o777
	}
	s, err := newScratch(f.self)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.folder(f.caller, perm); err != nil {
		return err
	}
	fd, err := unix.Openat(s.fd(), fresh, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	draft := &Draft{f.caller, os.NewFile(uintptr(fd), name), e}
	if err := errors.Join(fill(draft), draft.dir.Close()); err != nil {
		return err
	}
	return f.publish(s, name, ok)
}

// publish puts the new folder of s in the place of what is at its name.
func (f *Folder) publish(s *scratch, name string, ok func(*Earlier) error) error {
	for {
		e, err := f.earlier(s.in, name, ok)
		if err != nil {
			return err
		}
		if e != nil {
			_ = e.self.Close()
			err = s.rename(name, unix.RENAME_EXCHANGE)
		} else {
			err = s.rename(name, unix.RENAME_NOREPLACE)
		}
		switch {
		case errors.Is(err, unix.ENOENT) && e != nil, errors.Is(err, unix.EEXIST):
			continue // it has gone, or come
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return s.moveAway(name, e != nil)
		case err != nil || e == nil:
			return err
		}
		// What has come out is not for others to write into any more.
		e, err = f.earlier(s.self, fresh, ok)
		if err != nil {
			return errors.Join(err, s.rename(name, unix.RENAME_EXCHANGE))
		}
		if e == nil { // somebody may have moved it even here who has it open
			return nil
		}
		return e.self.Close()
	}
}

// moveAway replaces a folder where the file system cannot exchange two: by two renames. Who is killed between them leaves
// the earlier one in the scratch folder, from where sweep moves it back.
func (s *scratch) moveAway(name string, there bool) error {
	if there {
		if err := rename(int(s.in.Fd()), name, s.fd(), earlier+name, 0); err != nil {
			return err
		}
	}
	err := s.rename(name, 0)
	if err != nil && there {
		err = errors.Join(err, rename(s.fd(), earlier+name, int(s.in.Fd()), name, 0))
	}
	return err
}
