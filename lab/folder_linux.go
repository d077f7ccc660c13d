package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// draft begins the names of folders that are no labs: not yet, or no more.
const draft = ".new-"

// contents are what can be in the folder of a lab; the last two are folders, see privateNames.
var contents = []string{recordFile, recordFile + ".new", "run", "netns"}

// Reserve writes the record of a lab that is about to be built. Of several callers only one gets the name. Until unlock
// is called, whoever wants to change the lab or take it away waits.
func (s *Store) Reserve(r *Record) (unlock func(), err error) {
	for {
		if err := os.Mkdir(s.dir, s.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := s.check(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		unlock, err = s.reserve(r)
		if !errors.Is(err, fs.ErrNotExist) {
			return unlock, err
		}
		// The last lab went, and the folder with it; or the draft was taken for one that was left.
	}
}

func (s *Store) reserve(r *Record) (unlock func(), err error) {
	folder, err := os.MkdirTemp(s.dir, draft)
	if err != nil {
		return nil, err
	}
	f, err := lockNow(folder)
	if err != nil {
		return nil, err
	}
	if err = write(folder, r); err == nil {
		// A folder can take the place of an empty one only, and that of a lab never is.
		err = os.Rename(folder, s.folder(r.Name))
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		err = fmt.Errorf("lab %s: %w", r.Name, ErrTaken)
	}
	if err != nil {
		return nil, errors.Join(err, removeFolder(folder), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// Save writes the record anew, in one step.
func (s *Store) Save(r *Record) error { return write(s.folder(r.Name), r) }

func write(folder string, r *Record) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	next := filepath.Join(folder, recordFile+".new")
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(folder, recordFile))
}

// remove takes a lab's record away, and the store with the last one. The name is free from one moment to the next: who is
// killed meanwhile leaves a draft. Nothing is deleted that is not ctsim's.
func (s *Store) remove(name string) error {
	folder := s.folder(name)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(contents, e.Name()) {
			return fmt.Errorf("%s holds %s, which is not ctsim's", folder, e.Name())
		}
	}
	left := filepath.Join(s.dir, draft+"old-"+newID()[:8])
	if err := os.Rename(folder, left); err != nil {
		return err
	}
	err = removeFolder(left)
	s.RemoveEmpty()
	return err
}

// removeFolder deletes a lab's folder with what is ctsim's in it.
func removeFolder(folder string) error {
	for _, name := range contents {
		if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveEmpty takes the store away if there is nothing in it.
func (s *Store) RemoveEmpty() { _ = os.Remove(s.dir) }

// drafts are folders that are no labs and that nobody is at work in.
func (s *Store) drafts() (found []Leftover) {
	paths, _ := filepath.Glob(filepath.Join(s.dir, draft+"*"))
	for _, path := range paths {
		f, err := lockNow(path)
		if err != nil {
			continue
		}
		_ = f.Close()
		found = append(found, Leftover{Name: filepath.Base(path), What: "the draft " + filepath.Base(path) + " of a record", remove: func(context.Context) error {
			f, err := lockNow(path)
			if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
				return nil // somebody else takes it away
			}
			if err != nil {
				return err
			}
			defer f.Close()
			return removeFolder(path)
		}})
	}
	return found
}
