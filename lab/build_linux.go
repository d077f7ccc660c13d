package lab

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/topology"
)

// netnsDir is where `ip netns` keeps names.
const netnsDir = "/run/netns"

// Up builds the lab of a new record in this process's own mount namespace, whose names outlive the process. If it
// fails, or ctx ends before it is done, nothing is left. The error matches ErrTaken if there is a lab of that name,
// *scenario.Unsupported if this machine cannot.
// It needs CAP_SYS_ADMIN, CAP_NET_ADMIN and the right to write /run/netns.
func Up(ctx context.Context, s *Store, r *Record) (err error) {
	unlock, err := s.begin(r)
	if err != nil {
		return err
	}
	defer unlock()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove(r.Name))
		}
	}()
	if err := nameable(r.NamesDir); err != nil {
		return errors.Join(build.AsUnsupported(err), r.undoNamesDir())
	}
	if err := raise(ctx, r); err != nil {
		return errors.Join(err, r.undoNamesDir())
	}
	r.Complete = true
	if err := errors.Join(context.Cause(ctx), s.Save(r)); err != nil {
		return errors.Join(err, unpin(r))
	}
	return nil
}

// begin notes who is going to build the lab, and takes its name. Until unlock is called, whoever wants to change the
// lab or take it away waits.
func (s *Store) begin(r *Record) (unlock func(), err error) {
	r.NamesDir = netnsDir
	if r.Boot, err = bootID(); err != nil {
		return nil, err
	}
	if r.Builder, err = self(); err != nil {
		return nil, err
	}
	return s.Reserve(r)
}

const (
	// madeMark stands beside a folder of names that was not there before ctsim came, mountMark beside one that was no mount.
	madeMark  = "/run/ctsim-netns"
	mountMark = "/run/ctsim-netns-mount"
)

// nameable readies the folder of names. What ctsim makes of it is noted before it is made, so that it can be taken away
// with the last lab, whatever comes between.
func nameable(dir string) error {
	return topology.NamesDir(dir, func(folder bool) error {
		mark := mountMark
		if folder {
			mark = madeMark
		} else if isThere(madeMark) {
			return nil
		}
		f, err := os.OpenFile(mark, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// isThere tells whether one of the marks is there: an ordinary user's labs have nothing to do with root's.
func isThere(mark string) bool {
	info, err := os.Lstat(mark)
	return err == nil && ownedByCaller(info)
}

// undoNamesDir takes the folder of names away if ctsim has made it and nobody uses it.
func (r *Record) undoNamesDir() error {
	if r.Holder != nil || r.NamesDir != netnsDir {
		return nil
	}
	if err := undoNetns(); err != nil && !errors.Is(err, unix.EBUSY) {
		return err
	}
	return nil
}

// undoNetns takes away what ctsim has made of /run/netns. The error matches unix.EBUSY if somebody uses it.
func undoNetns() error {
	folder, mount := isThere(madeMark), isThere(mountMark)
	if !folder && !mount {
		return nil
	}
	if err := topology.UndoNamesDir(netnsDir, folder); err != nil {
		return err
	}
	for mark, made := range map[string]bool{mountMark: mount, madeMark: folder} {
		if err := os.Remove(mark); made && err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// raise makes the world of a record and gives its namespaces their names; nothing is left if it fails.
func raise(ctx context.Context, r *Record) (err error) {
	world, err := build.Up(ctx, r.Blueprint.Topology)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	l := &Lab{Record: r, world: world}
	if err := l.install(); err != nil {
		return build.AsUnsupported(err)
	}
	for _, name := range world.Names() {
		if err = ctx.Err(); err == nil {
			err = r.name(world.Namespace(name))
		}
		if err != nil {
			return errors.Join(err, unpin(r))
		}
	}
	return nil
}

// install puts kube-proxy's rules on every node.
func (l *Lab) install() error {
	return l.onNodes(func(n dataplane.Node, rules dataplane.Rules) error { return n.Install(rules) })
}

// name marks a namespace as the lab's, and pins it.
func (r *Record) name(ns *topology.Namespace) error {
	if err := ns.SetAlias(r.mark()); err != nil {
		return err
	}
	if err := ns.Pin(r.path(ns.Name())); err != nil {
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("network namespace %s is there already, and not ctsim's: %w", r.NamespaceName(ns.Name()), err)
		}
		return err
	}
	r.Namespaces[ns.Name()] = ns.Inode()
	return nil
}

// unpin takes away the names of the lab's namespaces: those that carry its mark, and those that stand for nothing.
func unpin(r *Record) error {
	var errs []error
	for _, name := range r.names() {
		errs = append(errs, r.unname(name))
	}
	return errors.Join(append(errs, r.undoNamesDir())...)
}

// names are the pods, nodes and switch of the lab, and the server pod that somebody may have been killed in making.
func (r *Record) names() []string {
	next := fmt.Sprintf("server-%d", r.Backends+1)
	return append(r.Blueprint.Topology.Names(), next)
}

// unname takes a name away if it is the lab's.
func (r *Record) unname(pod string) error {
	path := r.path(pod)
	mine, err := marked(path, r.mark())
	if errors.Is(err, os.ErrPermission) {
		return nil // root's, of the same name
	}
	if err != nil {
		return err
	}
	if mine || isBlank(path) {
		return topology.Unpin(path)
	}
	return nil
}

// isBlank tells whether a name stands for nothing: a file that Pin has made, and on which no namespace is mounted: not yet,
// or no more. `ip netns` would list it, and no lab could have the name.
func isBlank(path string) bool {
	var st unix.Stat_t
	var fs unix.Statfs_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 && st.Mode&0o777 == st.Mode&0o444 &&
		st.Mode&0o400 != 0 && int(st.Uid) == os.Geteuid() && unix.Statfs(path, &fs) == nil && fs.Type != unix.NSFS_MAGIC
}

// marked tells whether the namespace of a path carries the mark; a path that is not there, or stands for something
// else, does not.
func marked(path, mark string) (bool, error) {
	note, err := noteOf(path)
	return note == mark, err
}

func noteOf(path string) (string, error) {
	ns, err := topology.OpenNamespace(path, path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, topology.ErrNotNetwork) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	note, err := ns.Alias()
	return note, errors.Join(err, ns.Close())
}
