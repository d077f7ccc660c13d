package safefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check finds, before the work whose outcome is to be written, what would keep Write from writing this file after it.
func Check(path string) error {
	c := thisCaller()
	p, err := c.file(path)
	if err != nil {
		return err
	}
	defer p.Close()
	if !p.whole() {
		return nil // opening a pipe to see whether it can be opened would be seen at its other end
	}
	return checkWritable(p.dir, filepath.Dir(path))
}

// Write writes a file as a whole or not at all, in the place of an earlier one, whose owner and permissions it gets; a
// symbolic link stays, what it leads to is replaced. What is no file (a pipe, /dev/null) is written to as it is.
func Write(path string, write func(io.Writer) error) error {
	return create(path, func(f *os.File, finish func() error) error {
		if err := writeTo(f, write); err != nil {
			return err
		}
		return errors.Join(finish(), f.Close())
	})
}

// Create is Write for a file that grows for a while and is read meanwhile: it takes the earlier one's place at once.
func Create(path string) (made *os.File, err error) {
	err = create(path, func(f *os.File, finish func() error) error {
		made = f
		return finish()
	})
	return made, err
}

// create has use write a new file, and call finish when it is to take its place. If use fails, the file is closed.
func create(path string, use func(f *os.File, finish func() error) error) (err error) {
	c := thisCaller()
	p, err := c.file(path)
	if err != nil {
		return err
	}
	defer p.Close()
	if !p.whole() {
		f, openErr := p.openAsItIs()
		if openErr != nil {
			return openErr
		}
		return closing(f, use(f, func() error { return nil }))
	}
	sweep(p.dir)
	s, err := newScratch(p.dir)
	if err != nil {
		return fmt.Errorf("no file can be made in %s: %w", filepath.Dir(path), err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	f, err := makeFile(s.fd(), fresh)
	if err != nil {
		return err
	}
	if err := c.dress(f, p.there); err != nil {
		return closing(f, err)
	}
	return closing(f, use(f, func() error { return s.rename(p.name, 0) }))
}

// closing closes a file that something has failed with.
func closing(f *os.File, err error) error {
	if err != nil {
		_ = f.Close()
	}
	return bare(err)
}

// file finds where a file is to be written.
func (c caller) file(path string) (*place, error) {
	p, err := c.locate(path)
	var errno unix.Errno
	switch {
	case errors.As(err, &errno):
		return nil, fmt.Errorf("no file can be made in %s: %w", filepath.Dir(path), err)
	case err != nil:
		return nil, err
	case p.there != nil && p.there.Mode&unix.S_IFMT == unix.S_IFDIR:
		err = errors.New("it is a directory, expected a file")
	case p.there != nil && p.there.Mode&unix.S_IFMT == unix.S_IFCHR && int(p.there.Uid) == c.unmapped:
		// a device such as /dev/full, which only the machine's root can have made
	case p.there != nil:
		err = c.check("what is there", p.there)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// whole tells that a file is there, or nothing: it can be replaced by another. A device or a pipe cannot, and must not:
// root may well replace /dev/null.
func (p *place) whole() bool {
	return p.there == nil || !p.open && p.there.Mode&unix.S_IFMT == unix.S_IFREG
}

// openAsItIs opens what is no file, if it is still what was found there.
func (p *place) openAsItIs() (*os.File, error) {
	how := unix.O_WRONLY | unix.O_CLOEXEC | unix.O_NOCTTY
	if p.open {
		how |= unix.O_TRUNC // a file, perhaps
	} else {
		how |= unix.O_NOFOLLOW
	}
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Openat(int(p.dir.Fd()), p.name, how, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), p.name)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Dev != p.there.Dev || st.Ino != p.there.Ino) {
		err = errors.New("it has been replaced by something else meanwhile")
	}
	return f, closing(f, err)
}

// dress gives a new file the owner and the permissions of the one that it replaces, if there is one.
func (c caller) dress(f *os.File, replaced *unix.Stat_t) error {
	if replaced == nil {
		return c.give(int(f.Fd()))
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	perm := replaced.Mode & 0o777
	if st.Uid != replaced.Uid || st.Gid != replaced.Gid {
		if unix.Fchown(int(f.Fd()), int(replaced.Uid), int(replaced.Gid)) != nil {
			perm &^= 0o070 // what was for its group is not for another
		}
	}
	return unix.Fchmod(int(f.Fd()), perm)
}

// makeFile makes a file that is not there yet.
func makeFile(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// checkWritable tells whether files can be made in a folder, by making what is needed for one.
func checkWritable(dir *os.File, name string) error {
	s, err := newScratch(dir)
	if err != nil {
		return fmt.Errorf("no file can be made in %s: %w", name, err)
	}
	return s.close()
}

func writeTo(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriter(f)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

// bare is an error without the path it happened at: that of a file which is not finished says nothing to anybody.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
