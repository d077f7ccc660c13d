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
	unlock, err := s.lock(ctx, name)
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
		err = unpin(r)
	} else if r.held() {
		_, err = endProcesses(ctx, func(c *candidate) bool { return c.pid == r.Holder.PID && r.held() })
	}
	if err != nil {
		return ended, err // with the record it can be tried again
	}
	return ended, s.remove(name)
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
	// What it is, and Why it is one, which may be empty.
	What, Why string

	remove func(context.Context) error
}

// Remove takes it away. If it is still there then, that is an error.
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
	if len(records) == 0 && s.dir == rootDir && (isThere(madeMark) || isThere(mountMark)) {
		found = append(found, Leftover{Name: netnsDir, What: "the folder " + netnsDir, Why: "made for a lab",
			remove: func(context.Context) error { return undoNetns() }})
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
			found = append(found, Leftover{Name: name, What: "the record of lab " + name, Why: "it cannot be read: " + err.Error(),
				remove: func(ctx context.Context) error { return s.removeBad(ctx, name) }})
			continue
		}
		records = append(records, r)
		if status := r.Status(); status.State == Broken {
			found = append(found, Leftover{Name: name, What: "lab " + name, Why: "broken: " + status.Reason,
				remove: func(ctx context.Context) error {
					_, err := Down(ctx, s, name)
					if errors.Is(err, ErrNone) { // somebody else was faster
						return nil
					}
					return err
				}})
		}
	}
	return records, found, nil
}

// removeBad takes a record away that could not be read, unless another lab has got the name by now.
func (s *Store) removeBad(ctx context.Context, name string) error {
	unlock, err := s.lock(ctx, name)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.Load(name); err == nil {
		return nil
	}
	return s.remove(name)
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
			strays = append(strays, Leftover{Name: name, What: "namespace " + name + " of a lab that has no record",
				remove: func(context.Context) error { return n.remove() }})
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
