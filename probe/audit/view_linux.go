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

	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// Look reads everything once. A namespace that cannot be read is in the report with its problem and is no error.
func (a *Auditor) Look() (*Report, error) {
	p, err := walk(a.target.PID)
	if err != nil {
		return nil, err
	}
	v := &view{Auditor: a, processes: p, began: time.Now(), caller: callerNow()}
	defer v.close()
	v.gather()
	if err := v.readShown(); err != nil {
		return nil, err
	}
	v.follow()
	v.dropEnded()
	return v.report(), nil
}

// view is a Report being made.
type view struct {
	*Auditor
	*processes
	began  time.Time
	caller Caller
	// members are the namespaces there are. The current one and those that the caller named come first.
	members []*member
	// host is the one that the caller named as the node; nil if none was.
	host *member
}

// gather opens all namespaces that the walk found: any of them may be on the way of a connection of another.
func (v *view) gather() {
	shown := func(ns *topology.Namespace) bool { return v.one == nil || ns.Inode() == v.one.Inode() }
	have := map[uint64]*member{}
	for _, ns := range []*topology.Namespace{v.one, v.node, v.current} {
		if ns == nil {
			continue
		}
		if have[ns.Inode()] == nil {
			have[ns.Inode()] = &member{ns: ns, at: v.placeOf(ns), shown: shown(ns), borrowed: true}
			v.members = append(v.members, have[ns.Inode()])
		}
		if ns == v.node {
			v.host = have[ns.Inode()]
			v.host.at.label = v.target.Node
		}
	}
	for _, found := range v.places {
		if have[found.inode] != nil {
			continue
		}
		ns, err := topology.OpenNamespace(found.label, found.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it ended
		case err == nil && ns.Inode() != found.inode:
			_ = ns.Close() // another took its place
			continue
		}
		v.members = append(v.members, &member{ns: ns, at: *found, err: err, shown: v.one == nil})
	}
}

func (v *view) close() {
	for _, m := range v.members {
		if !m.borrowed && m.ns != nil {
			_ = m.ns.Close()
		}
	}
}

// readShown reads what is in the report, and the node that was named: the sockets of all before the first table.
func (v *view) readShown() error {
	var read []*member
	for _, m := range v.members {
		if m.shown || m == v.host {
			read = append(read, m)
		}
	}
	v.read(read)
	for _, m := range read {
		// Nothing forbids looking at one's own namespace.
		if m.ns != nil && m.ns.Current() && m.err != nil {
			return m.err
		}
	}
	return nil
}

func (v *view) read(all []*member) {
	for _, m := range all {
		if m.r == nil && m.err == nil {
			m.r, m.err = readFirst(m.ns, v.caller)
		}
	}
	for _, m := range all {
		if m.err == nil && m.r.Table == nil {
			m.err = m.r.readRest(m.ns, v.kernel)
		}
		if m.err == nil {
			m.r.Table.Name, m.r.Table.Path = m.at.label, m.at.path
			m.r.Path, m.r.Owners = m.at.path, v.owners
		}
	}
}

// follow finds out where packets go, and reads on there until every connection has its entry or there is nothing left to
// read.
func (v *view) follow() {
	if v.host != nil {
		return // the caller knows
	}
	for {
		var next []*member
		others := v.others()
		for _, m := range v.members {
			if m.err != nil || m.r == nil || m.r.Table == nil {
				continue
			}
			m.resolve(others)
			for _, near := range m.near {
				if near.r == nil || near.r.Table == nil {
					next = append(next, near)
				}
			}
		}
		looks, _ := v.looks()
		if len(next) == 0 || !v.wanting(looks) {
			return
		}
		v.read(next)
	}
}

// others are the namespaces that could be opened. Their links are read, where they may be, so that each is asked only
// about devices that may lead to it.
func (v *view) others() (all []*member) {
	for _, m := range v.members {
		if m.ns == nil {
			continue
		}
		if m.devices == nil && m.deaf == nil {
			m.devices, m.deaf = devices(m.ns)
		}
		all = append(all, m)
	}
	return all
}

// wanting tells whether a connection that is to be shown lacks an entry, or the table of its node.
func (v *view) wanting(looks []Look) bool {
	w := newWorldOf(looks)
	for i, l := range looks {
		if l.Only != nil && len(l.Only) == 0 {
			continue
		}
		for _, s := range l.Sockets {
			if s.State != socket.Established && s.State != socket.CloseWait || staysInside(s) {
				continue
			}
			f := l.facts(s)
			if w.follow(f, i); len(f.entries) == 0 || f.nodeUnseen {
				return true
			}
		}
	}
	return false
}

// looks are the members that were read, as Assemble takes them, and which each is of. Those that are not shown list
// nothing.
func (v *view) looks() (looks []Look, of []*member) {
	place := map[*member]int{}
	for _, m := range v.members {
		if m.err == nil && m.r != nil && m.r.Table != nil {
			place[m] = len(of)
			of = append(of, m)
		}
	}
	for _, m := range of {
		l := m.r.Look
		l.Links.Unseen = slices.Clone(m.unseen)
		for _, near := range m.near {
			if at, ok := place[near]; ok {
				l.Links.Near = append(l.Links.Near, at)
			} else {
				l.Links.Unseen = append(l.Links.Unseen, near.at.label)
			}
		}
		l.Links.Outside = slices.ContainsFunc(m.devices, device.leaves)
		switch {
		case v.host == nil || v.host == m:
		case v.host.err != nil:
			l.Links = Links{Unseen: []string{"what --node names"}}
		default:
			l.Node = v.host.r.Table
		}
		switch {
		case !m.shown:
			l.Only = map[uint32]bool{}
		case v.target.PID > 0:
			l.Only = map[uint32]bool{}
			maps.Copy(l.Only, v.only)
		}
		looks = append(looks, l)
	}
	return looks, of
}

// dropEnded leaves out connections without an entry that have ended since their sockets were read, and their entries with
// them.
func (v *view) dropEnded() {
	looks, of := v.looks()
	w := newWorldOf(looks)
	for i, l := range looks {
		lack := map[uint64]bool{}
		for _, s := range l.Sockets {
			f := l.facts(s)
			if w.follow(f, i); len(f.entries) == 0 && s.Cookie != 0 {
				lack[s.Cookie] = true
			}
		}
		if len(lack) == 0 || !of[i].shown {
			continue
		}
		again, err := of[i].r.sockets(of[i].ns)
		if err != nil {
			continue
		}
		for _, s := range again {
			delete(lack, s.Cookie)
		}
		of[i].r.Sockets = keep(of[i].r.Sockets, func(s socket.Socket) bool { return !lack[s.Cookie] })
	}
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

// entry is a namespace's place in the report.
func (v *view) entry(m *member) Namespace {
	n := v.namespace(m.at)
	if m.err != nil {
		v.unreadable(&n, m.err)
		return n
	}
	n.Current = m.ns.Current()
	n.KeepaliveTimeS = m.r.System.Seconds()
	n.Conntrack = TableFacts{State: m.r.Table.State, Entries: m.r.Table.Entries, EstablishedS: m.r.Table.Established.Seconds()}
	n.Problems = append(n.Problems, m.r.problems...)
	if v.host == nil {
		for _, near := range m.near {
			n.Near = append(n.Near, near.at.label)
		}
		n.Unseen = append(n.Unseen, m.unseen...)
	}
	if v.target.PID > 0 {
		if why := v.whyOnlySome(); len(why) > 0 {
			n.Problems, n.Summary.Unread = append(n.Problems, why...), 1
		}
	}
	return n
}

func (v *view) namespace(at place) Namespace {
	return Namespace{
		Name: at.label, Inode: at.inode, Path: at.path, Pod: at.pod, Processes: at.processes,
		Connections: []Connection{}, Near: []string{}, Unseen: []string{}, Problems: []string{},
	}
}

// unreadable notes that nothing can be seen of a namespace.
func (v *view) unreadable(n *Namespace, err error) {
	n.Conntrack.State = TableUnreadable
	n.Summary.Unread = 1
	problem := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		problem += " (entering a namespace needs CAP_SYS_ADMIN over the user namespace it belongs to)" + v.caller.hint()
	}
	n.Problems = append(n.Problems, problem)
}

// report judges what was read.
func (v *view) report() *Report {
	looks, of := v.looks()
	lists := map[*member][]Connection{}
	for i, list := range Assemble(looks, v.filter) {
		lists[of[i]] = list
	}
	var seen []Namespace
	for _, m := range v.members {
		if !m.shown {
			continue
		}
		n := v.entry(m)
		for _, c := range lists[m] {
			n.Summary.add(c.Verdict)
			if v.filter.Only == "" || v.filter.Only == c.Verdict {
				n.Connections = append(n.Connections, c)
			}
		}
		seen = append(seen, n)
	}
	slices.SortFunc(seen, func(a, b Namespace) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Inode, b.Inode))
	})
	r := &Report{Schema: SchemaVersion, Time: v.began, Kernel: kernelRelease(), Namespaces: seen, Missing: v.missing(seen)}
	for _, n := range seen {
		r.Summary.plus(n.Summary)
	}
	if v.target.All {
		r.Summary.Unseen = v.closedNamespaces
		if v.hidden && r.Summary.Unseen == 0 {
			r.Summary.Unseen = 1
		}
	}
	return r
}

// whyOnlySome says why a process's own sockets may not be all that it has.
func (v *view) whyOnlySome() []string {
	switch {
	case v.only == nil:
		return []string{fmt.Sprintf("process %d has ended", v.target.PID)}
	case v.onlyClosed:
		return []string{fmt.Sprintf("the sockets of process %d are not known: looking into another user's process needs CAP_SYS_PTRACE%s", v.target.PID, v.caller.hint())}
	}
	return nil
}

// missing says what the caller may not see.
func (v *view) missing(seen []Namespace) []string {
	missing := []string{}
	ownerless, connections := 0, 0
	for _, n := range seen {
		connections += len(n.Connections)
		for _, c := range n.Connections {
			if c.Process == nil {
				ownerless++
			}
		}
	}
	for _, m := range v.members {
		switch {
		case m.shown:
		case m == v.host && m.err != nil:
			missing = append(missing, m.err.Error())
		case m.err == nil && m.r != nil && m.r.Table != nil:
			missing = append(missing, m.r.problems...)
		}
	}
	hint := v.caller.hint()
	if ownerless > 0 && v.closed > 0 {
		missing = append(missing, fmt.Sprintf("the processes of %d of %d connections; processes that may not be looked into: %d%s", ownerless, connections, v.closed, hint))
	}
	if connections > 0 && v.blind != nil {
		missing = append(missing, fmt.Sprintf("the sockets' own keepalive times, and whether packets go through conntrack at all; that needs %s", v.blind))
	}
	if ownerless > 0 && v.hidden {
		missing = append(missing, "processes of other users: /proc is mounted with hidepid"+hint)
	}
	if v.target.All && v.closedNamespaces > 0 {
		missing = append(missing, fmt.Sprintf("the namespaces of %d processes of other users%s", v.closedNamespaces, hint))
	}
	return missing
}
