package audit

import (
	"slices"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

// Links are the ways out of a namespace. The zero value has none: whatever happens to its packets happens inside.
type Links struct {
	// Near are the looks, by their place in the list given to Assemble, at the other ends of its veth pairs.
	Near []int
	// Unseen are devices behind which there is a namespace that was not read, with what is known of it.
	Unseen []string
	// Outside: it has a device that leads out of the machine or to a program (a NIC, a tunnel).
	Outside bool
}

// pod tells whether all that leaves the namespace goes to one other namespace, its node.
func (l Links) pod() bool {
	return !l.Outside && (len(l.Near) == 1 && len(l.Unseen) == 0 || len(l.Near) == 0 && len(l.Unseen) > 0)
}

// transit tells whether packets may pass through that begin and end elsewhere.
func (l Links) transit() bool { return l.Outside || len(l.Near)+len(l.Unseen) > 1 }

// world is all looks together.
type world struct {
	looks []Look
	// flows are what each look's sockets send, for finding the other end of a connection.
	flows []map[conntrack.Tuple]bool
}

func newWorldOf(looks []Look) *world {
	w := &world{looks: looks}
	for _, l := range looks {
		flows := map[conntrack.Tuple]bool{}
		for _, s := range l.Sockets {
			if s.State != socket.Listening {
				flows[flowOf(s)] = true
			}
		}
		w.flows = append(w.flows, flows)
	}
	return w
}

// hop is a namespace that a connection's packets may reach, and the tuple they have there.
type hop struct {
	look  int
	tuple conntrack.Tuple
}

// follow finds the entries of a connection and the tables that could have one: the namespace's own, its node's, those
// that the packets may pass after that. It goes by the links, never by addresses: two labs may have the same ones. What a
// table translates is looked for in the next one as translated.
func (w *world) follow(f *facts, at int) {
	l := w.looks[at]
	f.table = l.Table
	tuple := f.lookUp(l.Table, flowOf(f.socket))
	if staysInside(f.socket) {
		return
	}
	visited, queue := map[int]bool{at: true}, []hop{{at, tuple}}
	f.unseen, f.nodeUnseen = slices.Clone(l.Links.Unseen), l.Links.pod() && len(l.Links.Near) == 0
	if l.Node != nil { // the caller knows what is behind the devices that lead to nothing else
		f.node, f.unseen, f.nodeUnseen = l.Node, nil, false
		out := f.lookUp(l.Node, tuple)
		if named := slices.IndexFunc(w.looks, func(o Look) bool { return o.Table == l.Node }); named >= 0 {
			visited[named], queue = true, append(queue, hop{named, out})
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for _, n := range w.looks[from.look].Links.Near {
			if visited[n] {
				continue
			}
			visited[n] = true
			near := w.looks[n]
			node := from.look == at && l.Links.pod() && l.Node == nil
			switch {
			case node:
				f.node = near.Table
			case near.Links.transit() || w.flows[n][from.tuple.Invert()]:
				f.beyond = append(f.beyond, near.Table)
			}
			if node || near.Links.transit() {
				f.unseen = append(f.unseen, near.Links.Unseen...)
			}
			queue = append(queue, hop{n, f.lookUp(near.Table, from.tuple)})
		}
	}
	f.elsewhere = w.elsewhere(f, visited)
}

// lookUp notes the entries that a tuple has in a table and gives the tuple with which the packets leave it.
func (f *facts) lookUp(t *Table, tuple conntrack.Tuple) conntrack.Tuple {
	if t == nil {
		return tuple
	}
	out := tuple
	for _, e := range t.flows[tuple] {
		reply := e.Original != tuple
		f.entries = append(f.entries, found{Entry: e, table: t, reply: reply})
		if out = e.Reply.Invert(); reply {
			out = e.Original.Invert()
		}
	}
	return out
}

// elsewhere are the tables that have an entry for the same addresses although no packet of the connection gets there; nil
// if it has entries of its own.
func (w *world) elsewhere(f *facts, visited map[int]bool) (names []string) {
	if len(f.entries) > 0 {
		return nil
	}
	for i, l := range w.looks {
		if !visited[i] && l.Table != nil && l.Table != f.node && len(l.Table.find(f.socket)) > 0 {
			names = append(names, l.Table.Name)
		}
	}
	return names
}
