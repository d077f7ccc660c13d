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
		l.Links = Links{Unseen: slices.Clone(m.unseen), Outside: m.outside()}
		for _, near := range m.near {
			if at, ok := place[near]; ok {
				l.Links.Near = append(l.Links.Near, at)
			} else {
				l.Links.Unseen = append(l.Links.Unseen, near.at.label)
			}
		}
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
	n.Unseen = append(n.Unseen, m.unseen...)
	for _, near := range m.near {
		if near.err != nil {
			n.Unseen = append(n.Unseen, near.at.label)
			continue
		}
		n.Near = append(n.Near, near.at.label)
	}
	if v.target.PID > 0 {
		n.Problems = append(n.Problems, v.whyOnlySome()...)
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
		problem += "; entering a namespace needs CAP_SYS_ADMIN over the user namespace it belongs to" + v.caller.hint()
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
	if v.target.PID > 0 && v.onlyClosed {
		r.Summary.Unseen = 1 // of its sockets some may be left out
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
		missing = append(missing, fmt.Sprintf("the namespaces of %d processes that may not be looked into%s", v.closedNamespaces, hint))
	}
	return missing
}
