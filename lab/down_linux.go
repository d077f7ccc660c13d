package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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
	ended, err := endProcesses(ctx, r.owns())
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

// present are the inodes of the lab's namespaces that are still there. An inode's number is given anew soon after its
// namespace has gone, so the number alone proves nothing.
func (r *Record) present() []uint64 {
	if boot, err := bootID(); err != nil || boot != r.Boot || r.Holder != nil && !r.held() {
		return nil
	}
	var inodes []uint64
	for pod, inode := range r.Namespaces {
		if r.Holder == nil || r.entered() {
			ns, err := r.open(pod)
			if err != nil {
				continue
			}
			_ = ns.Close()
			inodes = append(inodes, inode)
			continue
		}
		// In the holder's folder there is nothing but what it has put there.
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
	// A lab has its record before it has namespaces. Whoever reads them in this order finds the record of each namespace
	// seen, though labs come up meanwhile.
	named, err := namespaces()
	if err != nil {
		return nil, nil, err
	}
	records, found, err := s.broken()
	if err != nil {
		return nil, nil, err
	}
	strays, foreign := unknown(named, records)
	found = append(append(found, s.drafts()...), strays...)
	if _, statErr := os.Lstat(madeMark); statErr == nil && len(records) == 0 && s.dir == rootDir {
		r := &Record{NamesDir: netnsDir}
		found = append(found, Leftover{netnsDir, "the folder " + netnsDir + ", made for a lab", func(context.Context) error {
			return r.undoNamesDir()
		}})
	}
	return found, foreign, nil
}

// broken are the labs of a store that are no more, and the records that cannot be read; records are those that can.
func (s *Store) broken() (records []*Record, found []Leftover, err error) {
	names, err := s.Names()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		r, err := s.Load(name)
		if _, gone := os.Lstat(s.folder(name)); gone != nil {
			continue // taken down meanwhile
		}
		if err != nil {
			found = append(found, Leftover{name, "a record that cannot be read: " + err.Error(),
				func(context.Context) error { return s.removeBad(name) }})
			continue
		}
		records = append(records, r)
		if status := r.Status(); status.State == Broken {
			found = append(found, Leftover{name, "lab " + name + ", broken: " + status.Reason,
				func(ctx context.Context) error { _, err := Down(ctx, s, name); return err }})
		}
	}
	return records, found, nil
}

// removeBad takes a record away that could not be read, unless another lab has got the name by now.
func (s *Store) removeBad(name string) error {
	if _, err := s.Load(name); err == nil {
		return nil
	}
	return s.remove(name)
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

// named is a namespace with a name in /run/netns that begins as ctsim's do, and the note it carries.
type named struct{ path, note string }

func namespaces() (all []named, err error) {
	paths, err := filepath.Glob(filepath.Join(netnsDir, "ctsim-*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		note, err := noteOf(path)
		if errors.Is(err, os.ErrPermission) {
			continue // root's; an ordinary user may not look, and has none of its own here
		}
		if err != nil {
			return nil, err
		}
		all = append(all, named{path, note})
	}
	return all, nil
}

// unknown are the namespaces that belong to no lab: strays carry a mark, foreign ones do not.
func unknown(all []named, labs []*Record) (strays []Leftover, foreign []string) {
	ids, unfinished := map[string]bool{}, map[string]bool{}
	for _, r := range labs {
		ids[r.ID] = true
		if !r.Complete {
			for _, pod := range r.Blueprint.Topology.Names() {
				unfinished[r.path(pod)] = true // a name comes before its mark can be read
			}
		}
	}
	for _, n := range all {
		name := filepath.Base(n.path)
		mark, ours := strings.CutPrefix(n.note, markPrefix)
		id, _, _ := strings.Cut(mark, " ")
		switch {
		case ours && ids[id] || unfinished[n.path]:
		case ours:
			strays = append(strays, Leftover{name, "namespace " + name + " of a lab that has no record",
				func(context.Context) error { return n.remove() }})
		default:
			foreign = append(foreign, name)
		}
	}
	return strays, foreign
}

// remove takes the name away, unless it stands for another namespace by now.
func (n named) remove() error {
	same, err := marked(n.path, n.note)
	if err != nil || !same {
		return err
	}
	return topology.Unpin(n.path)
}
