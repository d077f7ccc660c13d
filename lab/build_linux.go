package lab

import (
	"context"
	"errors"
	"fmt"
	"os"

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
	unlock, err := s.reserve(r)
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
		return build.AsUnsupported(err)
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

// reserve notes who is going to build the lab, and takes its name. Until unlock is called, whoever wants to change the
// lab or take it away waits.
func (s *Store) reserve(r *Record) (unlock func(), err error) {
	r.NamesDir = netnsDir
	if r.Boot, err = bootID(); err != nil {
		return nil, err
	}
	if r.Builder, err = self(); err != nil {
		return nil, err
	}
	if err := s.Reserve(r); err != nil {
		return nil, err
	}
	return s.lock(r.Name)
}

// madeMark stands in a folder of names that was none before ctsim came.
const madeMark = "/run/ctsim-netns"

// nameable readies the folder of names. That ctsim has made it is noted, so that it can be taken away with the last lab.
func nameable(dir string) error {
	made, err := topology.NamesDir(dir)
	if err == nil && made {
		err = os.WriteFile(madeMark, nil, 0o644)
	}
	return err
}

// undoNamesDir takes the folder of names away if ctsim has made it and nobody uses it.
func (r *Record) undoNamesDir() error {
	if _, err := os.Lstat(madeMark); err != nil || r.Holder != nil {
		return nil
	}
	if entries, err := os.ReadDir(r.NamesDir); err == nil && len(entries) > 0 {
		return nil
	}
	return errors.Join(topology.UndoNamesDir(r.NamesDir), os.Remove(madeMark))
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

// unpin takes away the names of the lab's namespaces, those of them that carry its mark.
func unpin(r *Record) error {
	var errs []error
	for _, name := range r.Blueprint.Topology.Names() {
		path := r.path(name)
		mine, err := marked(path, r.mark())
		if err == nil && mine {
			err = topology.Unpin(path)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, r.undoNamesDir())...)
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
