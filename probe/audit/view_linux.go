package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/topology"
)

// Look reads everything once. A namespace that cannot be read is in the report with its problem and is no error.
func (a *Auditor) Look() (*Report, error) {
	p, err := walk(a.target.PID)
	if err != nil {
		return nil, err
	}
	v := &view{Auditor: a, processes: p, began: time.Now()}
	if err := v.readNode(); err != nil {
		return nil, err
	}
	if a.one != nil {
		v.add(a.one, v.placeOf(a.one))
	} else {
		v.addAll()
	}
	return v.report(), nil
}

// view is a Report being made.
type view struct {
	*Auditor
	*processes
	began time.Time
	// host is the reading of the node's namespace.
	host *reading
	// deaf is why it could not be read; host then holds nothing.
	deaf  error
	from  *topology.Namespace
	seen  []Namespace
	looks []Look
	// at is where in seen each look belongs; namespaces that could not be read have none.
	at []int
}

// readNode reads the table that the connections of all other namespaces pass through.
func (v *view) readNode() (err error) {
	v.from = v.current
	if v.node != nil {
		v.from = v.node
	}
	v.host, err = read(v.from, v.kernel)
	if err != nil && v.node == nil {
		return err
	}
	if err != nil {
		v.host, v.deaf = &reading{problems: []string{err.Error()}}, err
	}
	if at := v.placeOf(v.from); v.host.Table != nil {
		v.host.Table.Name = at.label
	}
	return nil
}

// placeOf is what the walk found out about a namespace, or its name if it found nothing.
func (v *view) placeOf(ns *topology.Namespace) place {
	at := place{inode: ns.Inode(), path: "/proc/self/ns/net", label: ns.Name()}
	if found := v.places[ns.Inode()]; found != nil {
		at = *found
	}
	if ns.Current() {
		at.path = "/proc/self/ns/net"
	}
	switch {
	case ns == v.node:
		at.label = v.target.Node
	case ns.Inode() == v.first:
		at.label = "host"
	case at.named:
	case ns.Current():
		at.label = "current"
	case v.target.Namespace != "" && ns == v.one:
		at.label, at.path = v.target.Namespace, v.target.Namespace
	}
	return at
}

// addAll reads every namespace that the walk found.
func (v *view) addAll() {
	if v.places[v.current.Inode()] == nil {
		v.place(v.current.Inode(), "/proc/self/ns/net")
	}
	for _, found := range v.places {
		if found.inode == v.current.Inode() {
			v.add(v.current, v.placeOf(v.current))
			continue
		}
		ns, err := topology.OpenNamespace(found.label, found.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it ended
		case err != nil:
			v.unreadable(*found, err)
			continue
		}
		if ns.Inode() == found.inode { // else another took its place
			v.add(ns, v.placeOf(ns))
		}
		_ = ns.Close()
	}
}

// add reads one namespace.
func (v *view) add(ns *topology.Namespace, at place) {
	r, err := v.host, v.deaf
	if ns.Inode() == v.from.Inode() && err != nil {
		v.unreadable(at, err)
		return
	}
	if ns.Inode() != v.from.Inode() {
		if r, err = read(ns, v.kernel); err != nil {
			v.unreadable(at, err)
			return
		}
		r.Table.Name = at.label
		r.Node = v.host.Table
	}
	r.Owners = v.owners
	n := v.namespace(at)
	n.Current = ns.Current()
	n.KeepaliveTimeS = r.System.Seconds()
	n.Conntrack = TableFacts{State: r.Table.State, Entries: r.Table.Entries, EstablishedS: r.Table.Established.Seconds()}
	n.Problems = append(n.Problems, r.problems...)
	look := r.Look
	if v.target.PID > 0 {
		look.Only = map[uint32]bool{}
		maps.Copy(look.Only, v.only)
		n.Problems = append(n.Problems, v.whyOnlySome()...)
	}
	v.at = append(v.at, len(v.seen))
	v.seen = append(v.seen, n)
	v.looks = append(v.looks, look)
}

func (v *view) namespace(at place) Namespace {
	return Namespace{
		Name: at.label, Inode: at.inode, Path: at.path, Pod: at.pod, Processes: at.processes,
		Connections: []Connection{}, Problems: []string{},
	}
}

// unreadable notes a namespace of which nothing can be seen.
func (v *view) unreadable(at place, err error) {
	n := v.namespace(at)
	n.Conntrack.State = TableUnreadable
	n.Summary.Unread = 1
	problem := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		problem += " (entering a namespace needs CAP_SYS_ADMIN over the user namespace it belongs to: run with sudo)"
	}
	n.Problems = append(n.Problems, problem)
	v.seen = append(v.seen, n)
}

// report judges what was read.
func (v *view) report() *Report {
	for i, list := range Assemble(v.looks, v.filter) {
		n := &v.seen[v.at[i]]
		for _, c := range list {
			n.Summary.add(c.Verdict)
			if v.filter.Only == "" || v.filter.Only == c.Verdict {
				n.Connections = append(n.Connections, c)
			}
		}
	}
	slices.SortFunc(v.seen, func(a, b Namespace) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Inode, b.Inode))
	})
	r := &Report{Schema: SchemaVersion, Time: v.began, Kernel: kernelRelease(), Namespaces: v.seen, Missing: v.missing()}
	for _, n := range v.seen {
		r.Summary.plus(n.Summary)
	}
	return r
}

// whyOnlySome says why a process's own sockets may not be all that it has.
func (v *view) whyOnlySome() []string {
	switch {
	case v.only == nil:
		return []string{fmt.Sprintf("process %d has ended", v.target.PID)}
	case v.onlyClosed:
		return []string{fmt.Sprintf("the sockets of process %d are not known: looking into another user's process needs CAP_SYS_PTRACE (run with sudo)", v.target.PID)}
	}
	return nil
}

// missing says what the caller may not see.
func (v *view) missing() []string {
	missing := []string{}
	ownerless, connections := 0, 0
	shown := false
	for _, n := range v.seen {
		shown = shown || n.Inode == v.from.Inode()
		connections += len(n.Connections)
		for _, c := range n.Connections {
			if c.Process == nil {
				ownerless++
			}
		}
	}
	if !shown {
		missing = append(missing, v.host.problems...)
	}
	if ownerless > 0 && v.closed > 0 {
		missing = append(missing, fmt.Sprintf("the processes of %d of %d connections; processes that may not be looked into: %d (run with sudo)", ownerless, connections, v.closed))
	}
	if connections > 0 && v.blind != nil {
		missing = append(missing, fmt.Sprintf("the sockets' own keepalive times, and whether packets go through conntrack at all; that needs %s", v.blind))
	}
	if ownerless > 0 && v.hidden {
		missing = append(missing, "processes of other users: /proc is mounted with hidepid (run with sudo)")
	}
	if v.target.All && v.closedNamespaces > 0 {
		missing = append(missing, fmt.Sprintf("the namespaces of %d processes of other users (run with sudo)", v.closedNamespaces))
	}
	return missing
}
