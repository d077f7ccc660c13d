package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// Lab is a lab that is up, entered. Close lets go of it; it stands on.
type Lab struct {
	*Record
	world *topology.Lab
}

// Open enters the lab of a record. An ordinary user's is entered from inside its holder's namespaces, see Inside.
// It needs CAP_SYS_ADMIN over the lab's namespaces.
func Open(r *Record) (*Lab, error) {
	world, err := topology.Attach(r.Blueprint.Topology, r.open)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", r.Name, err)
	}
	return &Lab{Record: r, world: world}, nil
}

// open gives the namespace of a pod or node, if it is still the lab's.
func (r *Record) open(pod string) (*topology.Namespace, error) {
	ns, err := topology.OpenNamespace(pod, r.path(pod))
	if err != nil {
		return nil, err
	}
	note, err := ns.Alias()
	if err == nil && (note != r.mark() || ns.Inode() != r.Namespaces[pod]) {
		err = fmt.Errorf("%s is not the namespace that was made for %s", r.path(pod), pod)
	}
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// Close lets go of the lab.
func (l *Lab) Close() error { return l.world.Close() }

// Namespace is that of a pod, node or host; nil if there is none of that name.
func (l *Lab) Namespace(name string) *topology.Namespace { return l.world.Namespace(name) }

// Flush empties the conntrack table of a node and tells how many entries were in it. Equivalent: `conntrack -F` there.
func (l *Lab) Flush(node string) (entries int, err error) {
	ns := l.Namespace(node)
	all, err := conntrack.List(ns) // not Count: it counts expired ones too
	if err != nil {
		return 0, err
	}
	_, err = conntrack.Flush(ns)
	return len(all), err
}

// Entry is an entry of a node's conntrack table.
type Entry struct {
	Node string
	conntrack.Entry
	// Backend is the pod that the entry leads to; empty if it is none of the lab's.
	Backend string
}

// Table gives the conntrack entries of a node. Equivalent: `conntrack -L` there.
func (l *Lab) Table(node string) ([]Entry, error) {
	found, err := conntrack.List(l.Namespace(node))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", node, err)
	}
	all := make([]Entry, 0, len(found))
	for _, e := range found {
		all = append(all, Entry{node, e, l.Place(e.Reply.Src.Addr())})
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return a.Original.Src.Compare(b.Original.Src) })
	return all, nil
}

// Sockets gives the TCP sockets of a pod, listening ones first. Equivalent: `netstat -tan --timers` there.
func (l *Lab) Sockets(pod string) ([]socket.Socket, error) {
	all, err := socket.List(l.Namespace(pod))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pod, err)
	}
	rank := func(s socket.Socket) int {
		if s.State == socket.Listening {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b socket.Socket) int {
		return slices.CompareFunc([]netip.AddrPort{a.Local, a.Remote}, []netip.AddrPort{b.Local, b.Remote}, netip.AddrPort.Compare)
	})
	slices.SortStableFunc(all, func(a, b socket.Socket) int { return rank(a) - rank(b) })
	return all, nil
}

// Rules is what `iptables-save -c` prints on a node.
func (l *Lab) Rules(node string) (string, error) {
	mode, err := l.mode()
	if err != nil {
		return "", err
	}
	n, err := mode.Open(l.Namespace(node))
	if err != nil {
		return "", err
	}
	text, _, err := n.Dump()
	return text, err
}

// sync changes the rules of every node to the endpoints of the moment, as kube-proxy does.
func (l *Lab) sync() error {
	return l.onNodes(func(n dataplane.Node, rules dataplane.Rules) error { return n.Sync(rules) })
}

// mode is kube-proxy's on every node.
func (l *Lab) mode() (dataplane.Mode, error) { return modes.Find("", l.Flavour) }

func (l *Lab) onNodes(do func(dataplane.Node, dataplane.Rules) error) error {
	mode, err := l.mode()
	if err != nil {
		return err
	}
	rules := mode.Rules(l.Blueprint.Proxy, l.Blueprint.Service)
	var g errgroup.Group // what ails one node ails the others: saying it once is enough
	for _, name := range l.Nodes() {
		g.Go(func() error {
			n, err := mode.Open(l.Namespace(name))
			if err == nil {
				err = do(n, rules)
			}
			if err != nil {
				return fmt.Errorf("rules on %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// change makes f the only one who changes the lab meanwhile, gives it the record as it is then, and saves what f makes
// of it. If f fails, the service stays as it was, but not the pods.
func change(ctx context.Context, s *Store, name string, f func(*Lab) error) (err error) {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := s.Load(name)
	if err != nil {
		return err
	}
	l, err := Open(r)
	if err != nil {
		return err
	}
	before := r.Blueprint.Service
	before.Endpoints = slices.Clone(before.Endpoints)
	if err = f(l); err != nil {
		r.Blueprint.Service = before
	}
	r.Blueprint.Topology = l.world.Plan()
	return errors.Join(err, s.Save(r), l.Close())
}
