package audit

import (
	"errors"
	"io/fs"

	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

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

// follow finds out where packets go, and reads on there: whatever they may pass on their way to somewhere else, and where
// they may end too as long as a connection has no entry.
func (v *view) follow() {
	others := v.others()
	for _, m := range others {
		m.resolve(others)
	}
	for {
		looks, of := v.looks()
		wanting := v.wanting(looks)
		var next []*member
		for _, m := range of {
			for _, near := range m.near {
				if near.err == nil && (near.r == nil || near.r.Table == nil) && (wanting || near.transit() || m.pod()) {
					next = append(next, near)
				}
			}
		}
		if len(next) == 0 {
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

// wanting tells whether a connection that is to be shown lacks an entry.
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
			if w.follow(f, i); len(f.entries) == 0 {
				return true
			}
		}
	}
	return false
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
