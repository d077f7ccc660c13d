package audit

import (
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

// TableState tells what is known of a namespace's conntrack table.
type TableState string

// The states of a table.
const (
	// TableRead: its entries are known.
	TableRead TableState = "read"
	// TableEmpty: it has no entries. Nothing is tracked there, or all entries are lost.
	TableEmpty TableState = "empty"
	// TableUnreadable: it has entries, or may have, which could not be read.
	TableUnreadable TableState = "unreadable"
	// TableNone: the kernel has no connection tracking.
	TableNone TableState = "none"
)

// Table is a namespace's conntrack table at one moment. Make it with NewTable.
type Table struct {
	// Name is the namespace's, Path where it can be entered.
	Name, Path string
	State      TableState
	// Entries is how many there are, of all protocols; nf_conntrack_count where the table could not be read.
	Entries int
	// Established is nf_conntrack_tcp_timeout_established; 0 if not known.
	Established time.Duration
	// FinWait and CloseWait are those of connections that one side has closed; 0 if not known.
	FinWait, CloseWait time.Duration
	// Strict is nf_conntrack_tcp_loose=0: no entry is made for a connection in mid-stream.
	Strict bool
	// HooksKnown tells that it is known whether the namespace's packets go through conntrack, which TracksIPv4 and
	// TracksIPv6 then say. A table may be empty although they do.
	HooksKnown, TracksIPv4, TracksIPv6 bool

	flows map[conntrack.Tuple][]*conntrack.Entry
	// some tells whether there is a TCP entry of IPv4, of IPv6.
	some4, some6 bool
}

// NewTable makes the table with these entries findable; those of other protocols than TCP are only counted.
func NewTable(name string, entries []conntrack.Entry) *Table {
	t := &Table{Name: name, State: TableRead, Entries: len(entries)}
	if len(entries) == 0 {
		t.State = TableEmpty
		return t
	}
	t.flows = make(map[conntrack.Tuple][]*conntrack.Entry, 2*len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Original.Protocol != conntrack.ProtocolTCP {
			continue
		}
		t.flows[e.Original] = append(t.flows[e.Original], e)
		if e.Reply != e.Original {
			t.flows[e.Reply] = append(t.flows[e.Reply], e)
		}
		v4 := e.Original.Src.Addr().Is4()
		t.some4, t.some6 = t.some4 || v4, t.some6 || !v4
	}
	return t
}

// find gives the entries that a socket's packets belong to. What the socket sends carries the original tuple on the
// client's side and the reply tuple on the server's, whatever translation does to it elsewhere.
func (t *Table) find(s socket.Socket) []*conntrack.Entry { return t.flows[flowOf(s)] }

// tracks tells whether packets of the socket's family go through conntrack in the table's namespace; known is false if
// neither the hooks nor other entries tell.
func (t *Table) tracks(s socket.Socket) (yes, known bool) {
	v4 := flowOf(s).Src.Addr().Is4()
	some := v4 && t.some4 || !v4 && t.some6
	hooked := v4 && t.TracksIPv4 || !v4 && t.TracksIPv6
	switch {
	case t.State == TableNone:
		return false, true
	case t.HooksKnown && !hooked && some:
		return false, false // entries without hooks: left over, or a bridge's (nf_conntrack_bridge), whose hooks are others
	case t.HooksKnown:
		return hooked, true
	case some:
		return true, true
	}
	return false, false
}

// passedBy tells whether packets of the socket's family are known not to meet the table's entries any more.
func (t *Table) passedBy(s socket.Socket) bool {
	v4 := flowOf(s).Src.Addr().Is4()
	return t.HooksKnown && !(v4 && t.TracksIPv4 || !v4 && t.TracksIPv6)
}

// renewed is what the next packet sets an entry's time to; 0 if not known.
func (t *Table) renewed(state conntrack.TCPState) time.Duration {
	switch state {
	case conntrack.TCPEstablished:
		return t.Established
	case conntrack.TCPFinWait:
		return t.FinWait
	case conntrack.TCPCloseWait:
		return t.CloseWait
	}
	return 0
}

// timeout is how long an entry of the socket lives when nothing passes.
func (t *Table) timeout(s socket.Socket) time.Duration {
	if s.State == socket.CloseWait {
		return t.CloseWait
	}
	return t.Established
}

func flowOf(s socket.Socket) conntrack.Tuple {
	return conntrack.NewTuple(conntrack.ProtocolTCP, s.Local, s.Remote)
}

// found is an entry, and where.
type found struct {
	*conntrack.Entry
	table *Table
	// reply tells that the socket is on the server's side.
	reply bool
}

// left is the time that an entry has left at a moment.
func (f found) left(now time.Time) time.Duration {
	if f.Seen.IsZero() {
		return f.Timeout
	}
	return max(0, f.Timeout+f.Seen.Sub(now))
}

// lasting are the sockets of a second look that can be judged by the table read after it: not those that are new and have
// no entry there, for theirs may have been made while it was read. One that was there before and has its entry no longer
// stays: that has expired or was flushed meanwhile.
func lasting(before, now []socket.Socket, t *Table) []socket.Socket {
	old := map[conntrack.Tuple]bool{}
	for _, s := range before {
		old[flowOf(s)] = true
	}
	return keep(now, func(s socket.Socket) bool {
		return s.State != socket.Established || old[flowOf(s)] || len(t.find(s)) > 0
	})
}

func keep(all []socket.Socket, good func(socket.Socket) bool) []socket.Socket {
	kept := all[:0]
	for _, s := range all {
		if good(s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// staysInside tells whether a connection never leaves its namespace, so that no other table can have it.
func staysInside(s socket.Socket) bool {
	flow := flowOf(s)
	return flow.Src.Addr().IsLoopback() || flow.Dst.Addr().IsLoopback() || flow.Src.Addr() == flow.Dst.Addr()
}
