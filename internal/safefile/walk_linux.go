package safefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// place is where a path leads.
type place struct {
	// dir is open for paths that begin there, and for nothing else.
	dir  *os.File
	name string
	// there is what is at the name; nil if nothing is.
	there *unix.Stat_t
	// open is set if the name is a link of /proc's to what a process has open: the kernel alone knows where it leads.
	open bool
}

func (p *place) Close() { _ = p.dir.Close() }

// walker goes along a path.
type walker struct {
	caller
	dir  *os.File
	rest []string
	// done is what it has gone along, for complaints; links is how many it has followed.
	done  string
	links int
	// ended tells that the path's last component was a link.
	ended bool
	// make tells that folders that are not there are made.
	make bool
}

// locate finds where a path leads. Links on the way, and at its end, are followed if they may be.
func (c caller) locate(path string) (*place, error) {
	w := &walker{caller: c, rest: strings.Split(path, "/")}
	return w.walk(path)
}

// folder opens the folder that a path leads to; if it is to be made, with those above it.
func (c caller) folder(path string, make bool) (*os.File, error) {
	w := &walker{caller: c, rest: append(strings.Split(path, "/"), "."), make: make}
	p, err := w.walk(path)
	if err != nil {
		return nil, err
	}
	return p.dir, nil
}

func (w *walker) walk(path string) (_ *place, err error) {
	if err := w.begin(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = w.dir.Close()
		}
	}()
	for len(w.rest) > 0 {
		name := w.rest[0]
		w.rest = w.rest[1:]
		if name == "" || name == "." && len(w.rest) > 0 {
			continue
		}
		if p, err := w.step(name); p != nil || err != nil {
			return p, err
		}
	}
	return w.end(".")
}

// begin opens where a path begins.
func (w *walker) begin(path string) error {
	start := "."
	if strings.HasPrefix(path, "/") {
		start, w.done = "/", "/"
	}
	fd, err := unix.Open(start, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.goTo(fd)
	return nil
}

func (w *walker) goTo(fd int) {
	if w.dir != nil {
		_ = w.dir.Close()
	}
	w.dir = os.NewFile(uintptr(fd), "folder")
}

// step goes one component further; a place is the end of the way.
func (w *walker) step(name string) (*place, error) {
	last := len(w.rest) == 0
	fd, err := w.at(name, unix.O_PATH|unix.O_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT) && w.make:
		if err := w.makeFolder(name); err != nil {
			return nil, err
		}
		fd, err = w.at(name, unix.O_PATH|unix.O_NOFOLLOW)
	case errors.Is(err, unix.ENOENT) && last && w.ended:
		return nil, errors.New("it is a symbolic link that leads nowhere")
	case errors.Is(err, unix.ENOENT) && last:
		return &place{dir: w.dir, name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	w.done = filepath.Join(w.done, name)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		defer unix.Close(fd)
		w.ended = w.ended || last
		return w.follow(fd, name, &st, last)
	case unix.S_IFDIR:
		w.goTo(fd)
		return nil, w.mount(name)
	}
	_ = unix.Close(fd)
	if !last {
		return nil, unix.ENOTDIR
	}
	return &place{dir: w.dir, name: name, there: &st}, nil
}

func (w *walker) at(name string, how int) (int, error) {
	return unix.Openat(int(w.dir.Fd()), name, how|unix.O_CLOEXEC, 0)
}

// mount has the folder just entered mounted, if it is one that is mounted when it is first used.
func (w *walker) mount(name string) error {
	var fs unix.Statfs_t
	if unix.Fstatfs(int(w.dir.Fd()), &fs) != nil || fs.Type != unix.AUTOFS_SUPER_MAGIC || name == "." || name == ".." {
		return nil
	}
	up, err := w.at("..", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(up)
	fd, err := unix.Openat(up, name+"/.", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		w.goTo(fd)
	}
	return err
}

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// follow goes where a symbolic link leads.
func (w *walker) follow(link int, name string, st *unix.Stat_t, last bool) (*place, error) {
	if w.links++; w.links > maxLinks {
		return nil, unix.ELOOP
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(link, &fs); err != nil {
		return nil, err
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return w.jump(name, last)
	}
	var folder unix.Stat_t
	if err := unix.Fstat(int(w.dir.Fd()), &folder); err != nil {
		return nil, err
	}
	if !w.mayFollow(st, &folder) {
		return nil, fmt.Errorf("%s is a symbolic link that another user may have put there", w.done)
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", target)
	if err != nil {
		return nil, err
	}
	to := string(target[:n])
	w.rest = append(strings.Split(to, "/"), w.rest...)
	if strings.HasPrefix(to, "/") {
		return nil, w.begin(to)
	}
	w.done = filepath.Dir(w.done)
	return nil, nil
}

// jump goes where a link of /proc's leads.
func (w *walker) jump(name string, last bool) (*place, error) {
	fd, err := w.at(name, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		w.goTo(fd)
		return nil, nil
	}
	_ = unix.Close(fd)
	if !last {
		return nil, unix.ENOTDIR
	}
	return &place{dir: w.dir, name: name, there: &st, open: true}, nil
}

// end is the place of a path that ends in a folder.
func (w *walker) end(name string) (*place, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(w.dir.Fd()), &st)
	return &place{dir: w.dir, name: name, there: &st}, err
}

// makeFolder makes a folder for the caller.
func (w *walker) makeFolder(name string) error {
	err := unix.Mkdirat(int(w.dir.Fd()), name, 0o755)
	if errors.Is(err, unix.EEXIST) {
		return nil // somebody was faster
	}
	if err != nil {
		return err
	}
	fd, err := w.at(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	made := os.NewFile(uintptr(fd), name)
	defer made.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	// Where others may rename, another folder may be there by now: what has been used is not given away.
	if names, err := namesIn(made); err != nil || len(names) > 0 || int(st.Uid) != os.Geteuid() {
		return err
	}
	return w.give(fd)
}
