package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// Down takes a lab away, whatever state it is in, and ends the processes in its pods. Only what carries the lab's mark
// is touched.
func Down(ctx context.Context, s *Store, name string) ([]Ended, error) {
	unlock, err := s.lock(name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := s.Load(name)
	if err != nil {
		return nil, err
	}
	inodes := r.present()
	ended, err := endProcesses(ctx, func(c *candidate) bool {
		return slices.Contains(inodes, c.netns) || c.hasMark(r.ID)
	})
	if err != nil {
		return ended, err
	}
	if r.Holder == nil {
		err = errors.Join(unpin(r), r.removeBlank())
	} else if r.held() {
		_, err = endProcesses(ctx, func(c *candidate) bool { return c.pid == r.Holder.PID && r.held() })
	}
	return ended, errors.Join(err, s.remove(name))
}

// removeBlank takes away names that stand for nothing: files that `lab up` made and could not mount a namespace on before
// it was killed, or whose mount went when the machine was restarted. `ip netns` would list them.
func (r *Record) removeBlank() error {
	if boot, err := bootID(); err != nil || r.Complete && boot == r.Boot {
		return err
	}
	var errs []error
	for _, name := range r.Blueprint.Topology.Names() {
		var fs unix.Statfs_t
		info, err := os.Lstat(r.path(name))
		if err != nil || !info.Mode().IsRegular() || info.Size() > 0 || unix.Statfs(r.path(name), &fs) != nil || fs.Type == unix.NSFS_MAGIC {
			continue
		}
		errs = append(errs, os.Remove(r.path(name)))
	}
	return errors.Join(append(errs, r.undoNamesDir())...)
}

// present are the inodes of the lab's namespaces that are still there.
func (r *Record) present() []uint64 {
	if r.Holder != nil && !r.held() {
		return nil
	}
	var inodes []uint64
	for pod, inode := range r.Namespaces {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(r.root(), r.path(pod)), &st) == nil && st.Ino == inode {
			inodes = append(inodes, inode)
		}
	}
	return inodes
}

// Leftover is something that a ctsim which was killed could not take away.
type Leftover struct {
	// Name is the lab's, or that of a namespace that belongs to no lab any more.
	Name string
	// What it is, and why it is one.
	What string

	remove func(context.Context) error
}

// Remove takes it away.
func (l Leftover) Remove(ctx context.Context) error { return l.remove(ctx) }

// Leftovers finds what is left of labs that are no more: broken labs, drafts of records, and marked namespaces without a
// record. Foreign are namespaces in /run/netns that are named as ctsim's would be and do not carry its mark.
func Leftovers(s *Store) (found []Leftover, foreign []string, err error) {
	names, err := s.Names()
	if err != nil {
		return nil, nil, err
	}
	ids := map[string]bool{}
	for _, name := range names {
		r, err := s.Load(name)
		if err != nil {
			found = append(found, Leftover{name, "a record that cannot be read: " + err.Error(),
				func(context.Context) error { return s.remove(name) }})
			continue
		}
		ids[r.ID] = true
		if status := r.Status(); status.State == Broken {
			found = append(found, Leftover{name, "lab " + name + ", broken: " + status.Reason,
				func(ctx context.Context) error { _, err := Down(ctx, s, name); return err }})
		}
	}
	found = append(found, s.drafts()...)
	named, foreign, err := strays(ids)
	found = append(found, named...)
	if _, statErr := os.Lstat(madeMark); statErr == nil && len(names) == 0 && s.dir == rootDir {
		r := &Record{NamesDir: netnsDir}
		found = append(found, Leftover{netnsDir, "the folder " + netnsDir + ", made for a lab", func(context.Context) error {
			return r.undoNamesDir()
		}})
	}
	return found, foreign, err
}

// drafts are folders whose makers have gone: a draft is a lab within a millisecond.
func (s *Store) drafts() (found []Leftover) {
	paths, _ := filepath.Glob(filepath.Join(s.dir, draft+"*"))
	for _, path := range paths {
		r := &Record{}
		if readRecord(path, r) == nil && r.Builder.alive() {
			continue
		}
		found = append(found, Leftover{filepath.Base(path), "the draft of a record", func(context.Context) error {
			return errors.Join(os.RemoveAll(path), removeEmpty(s.dir))
		}})
	}
	return found
}

func removeEmpty(dir string) error {
	_ = os.Remove(dir) // not while there is anything in it
	return nil
}

// strays looks at the namespaces in /run/netns whose names begin as ctsim's do, but for those of the labs known.
func strays(known map[string]bool) (found []Leftover, foreign []string, err error) {
	paths, err := filepath.Glob(filepath.Join(netnsDir, "ctsim-*"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		note, err := noteOf(path)
		if errors.Is(err, os.ErrPermission) {
			continue // root's; an ordinary user may not look, and has none of its own here
		}
		if err != nil {
			return nil, nil, err
		}
		name := filepath.Base(path)
		mark, ours := strings.CutPrefix(note, markPrefix)
		id, _, _ := strings.Cut(mark, " ")
		switch {
		case ours && known[id]:
		case ours:
			found = append(found, Leftover{name, "namespace " + name + " of a lab that has no record",
				func(context.Context) error { return topology.Unpin(path) }})
		default:
			foreign = append(foreign, name)
		}
	}
	return found, foreign, nil
}
