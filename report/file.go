package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// CheckFile finds before a run what would keep WriteFile from writing this file after it.
func CheckFile(path string) error {
	to, whole, err := destination(path)
	if err != nil || !whole {
		// Opening a pipe to see whether it can be opened would be seen at its other end.
		return err
	}
	return checkWritable(filepath.Dir(to))
}

// WriteFile writes a file as a whole or not at all, in the place of an earlier one; a symbolic link stays, what it leads
// to is replaced. What is no file (a pipe, /dev/null) is written to as it is.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	to, whole, err := destination(path)
	if err != nil {
		return err
	}
	if !whole {
		return writeFile(to, os.O_WRONLY, write)
	}
	// In a folder of its own, the file has the mode that the user's umask wants.
	half, err := os.MkdirTemp(filepath.Dir(to), halfway)
	if err != nil {
		return bare(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(half)) }()
	made := filepath.Join(half, "new")
	if err := writeFile(made, os.O_WRONLY|os.O_CREATE|os.O_EXCL, write); err != nil {
		return err
	}
	return bare(os.Rename(made, to))
}

// halfway is how what is not finished is called.
const halfway = ".ctsim-*"

// destination is where a path leads. Whole tells that a file is there, or nothing: it can be replaced by another. A
// device or a pipe cannot, and must not: root may well replace /dev/null.
func destination(path string) (to string, whole bool, err error) {
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return "", false, errors.New("it is a symbolic link that leads nowhere")
		}
		return path, true, nil
	case err != nil:
		return "", false, bare(err)
	case info.IsDir():
		return "", false, errors.New("it is a directory, expected a file")
	case !info.Mode().IsRegular():
		return path, false, nil
	}
	to, err = filepath.EvalSymlinks(path)
	return to, true, bare(err)
}

// checkWritable tells whether files can be made in a folder, by making one.
func checkWritable(dir string) error {
	f, err := os.CreateTemp(dir, halfway)
	if err != nil {
		return fmt.Errorf("no file can be made in %s: %w", dir, bare(err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func writeFile(path string, how int, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, how, 0o644)
	if err != nil {
		return bare(err)
	}
	w := bufio.NewWriter(f)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	return bare(errors.Join(err, f.Close()))
}

// bare is an error without the path it happened at: that of a file which is not finished says nothing to anybody.
func bare(err error) error {
	var at *fs.PathError
	var renamed *os.LinkError
	switch {
	case errors.As(err, &at):
		return at.Err
	case errors.As(err, &renamed):
		return renamed.Err
	}
	return err
}
