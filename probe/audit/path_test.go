package audit

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

// probed is the client's socket with a probe every 7 s: it is ok with any entry that is the right one, and a mistake if
// there is none.
func probed() Look {
	return Look{Now: now, Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: hooks(table("client"), false, false)}
}

func linked(l Look, near ...int) Look { l.Links.Near = near; return l }

// node is the look at one that tracks, has the client's entry or not, and a NIC.
func node(name string, entries ...conntrack.Entry) Look {
	return Look{Now: now, Table: hooks(table(name, entries...), true, true), Links: Links{Outside: true}}
}

// TestFollow: whose tables count goes by links.
func TestFollow(t *testing.T) {
	const left = 300 * second
	other := entry(left)
	other.Original.Src = netip.AddrPortFrom(client.Addr(), 1)
	switched := node("switch")
	switched.Table = hooks(table("switch"), false, false)
	server := Look{Now: now, Table: hooks(table("server"), true, true)}
	server.Sockets = one(socket.Socket{Local: service, Remote: client, State: socket.Established})
	for _, c := range []struct {
		name  string
		looks []Look
		want  Reason
		say   string
	}{
		{"the node has it", []Look{linked(probed(), 1), linked(node("node", entry(left)), 0)}, ProbeInTime, ""},
		{"the node has lost it", []Look{linked(probed(), 1), linked(node("node", other), 0)}, EntryMissing, "node tracks connections"},
		{"the node is empty, and tracks", []Look{linked(probed(), 1), linked(node("node"), 0)}, EntryMissing, "node tracks connections"},
		{"another lab has it", []Look{linked(probed(), 1), linked(node("node", other), 0), node("other node", entry(left))},
			EntryMissing, ""},
		{"another lab has it, no link at all", []Look{probed(), node("other node", entry(left))}, EntryNotSeen, "the table of other node has one"},
		{"another lab has it, the node was not read", []Look{unlinked(probed()), node("other node", entry(left))},
			NodeUnread, "the table of other node has one for the same addresses, but no link leads there"},
		{"no table of the node", []Look{unlinked(probed())}, NodeUnread, "by eth0"},
		{"a node that does not track", []Look{linked(probed(), 1), linked(switched, 0)}, NotTracked, ""},
		{"behind it one that does", []Look{linked(probed(), 1), linked(switched, 0, 2), linked(node("node", other), 1)}, EntryMissing, "node tracks"},
		{"behind it one that was not read", []Look{linked(probed(), 1), unlinked(linked(switched, 0))}, NodeUnread, ""},
		{"behind it one that has it", []Look{linked(probed(), 1), linked(switched, 0, 2), linked(node("node", entry(left)), 1)}, ProbeInTime, ""},
		{"behind it, as translated, about to go", []Look{linked(probed(), 1), linked(node("node", entry(left)), 0, 2), linked(node("node 2", further(4*second)), 1)},
			ProbeTooLate, "on node 2"},
		{"behind the node, which has lost it, one with the same addresses", []Look{linked(probed(), 1), linked(node("node", other), 0, 2), linked(node("node 2", entry(left)), 1)},
			EntryMissing, "node tracks connections"},
		{"the same, hooks of the node not known", []Look{linked(probed(), 1), linked(Look{Now: now, Table: table("node")}, 0, 2), linked(node("node 2", entry(left)), 1)},
			EntryNotSeen, ""},
		{"the caller names another as the node", []Look{namedNode(linked(probed(), 1)), linked(node("node", other), 0)}, EntryMissing, "node tracks"},
		{"the caller names another, the node has it", []Look{namedNode(linked(probed(), 1)), linked(node("node", entry(left)), 0)}, ProbeInTime, ""},
		{"the caller knows what is behind eth0", []Look{namedNode(unlinked(probed()))}, NotTracked, ""},
		{"another pod that tracks", []Look{linked(probed(), 1), linked(switched, 0, 2), linked(Look{Now: now, Table: hooks(table("pod"), true, true)}, 1)},
			NotTracked, ""},
		{"the other end tracks", []Look{linked(probed(), 1), linked(switched, 0, 2), linked(server, 1)}, EntryMissing, "server tracks"},
		{"hooks of the node not known", []Look{linked(probed(), 1), linked(Look{Now: now, Table: table("node"), Links: Links{Outside: true}}, 0)}, EntryNotSeen, ""},
		{"the node may not be read", []Look{linked(probed(), 1), linked(Look{Now: now, Table: &Table{Name: "node", State: TableUnreadable, Established: 300 * second}}, 0)},
			TableUnread, "the table of node could not be read"},
		{"expired between the looks at socket and table", []Look{linked(probed(), 1), linked(node("node", entry(0)), 0)}, ProbeTooLate, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Assemble(c.looks, Filter{})[0][0]
			if got.Reason != c.want || !strings.Contains(got.Why, c.say) {
				t.Errorf("%s: %s\nwant %s: %s", got.Reason, got.Why, c.want, c.say)
			}
		})
	}
}

// namedNode is a look of which the caller says that its node is one that tracks nothing.
func namedNode(l Look) Look { l.Node = hooks(table("named"), false, false); return l }

func unlinked(l Look) Look { l.Links.Unseen = []string{"eth0"}; return l }

// TestMappedNeverOK: an IPv6 socket that serves IPv4 is judged by what happens to IPv4.
func TestMappedNeverOK(t *testing.T) {
	l := probed()
	for _, a := range []*netip.AddrPort{&l.Sockets[0].Local, &l.Sockets[0].Remote} {
		*a = netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	only4, only6 := hooks(table("node"), true, false), hooks(table("node"), false, true)
	for _, c := range []struct {
		table *Table
		want  Reason
	}{{only4, EntryMissing}, {only6, NotTracked}, {hooks(table("node", entry(300*second)), true, false), ProbeInTime}} {
		if got := Assemble([]Look{linked(l, 1), linked(Look{Now: now, Table: c.table}, 0)}, Filter{})[0][0]; got.Reason != c.want {
			t.Errorf("%s: %s, want %s", got.Reason, got.Why, c.want)
		}
	}
}

// TestCloseWait: a connection that the other side has closed has the entries, and timeouts, of such a one.
func TestCloseWait(t *testing.T) {
	closing := probed()
	closing.Sockets[0].State = socket.CloseWait
	filter := Filter{States: []socket.State{socket.CloseWait}}
	withTimeouts := func(e conntrack.Entry) *Table {
		tab := hooks(table("node", e), true, true)
		tab.CloseWait, tab.FinWait = 60*second, 120*second
		return tab
	}
	for _, c := range []struct {
		entry conntrack.Entry
		idle  int
		want  Reason
	}{
		{inState(conntrack.TCPCloseWait, 50*second), 7, ProbeInTime},
		{inState(conntrack.TCPCloseWait, 50*second), 7200, ProbeTooLate},
		{inState(conntrack.TCPCloseWait, 7400*second), 61, IntervalTooLong}, // the timeout was lowered
		{inState(conntrack.TCPEstablished, 300*second), 7, EntryState},
		{inState(conntrack.TCPClose, 9*second), 7, EntryState},
	} {
		closing.Settings = on(c.idle, true)
		closing.Table = withTimeouts(c.entry)
		if got := Assemble([]Look{closing}, filter)[0][0]; got.Reason != c.want {
			t.Errorf("%s, %d s: %s: %s, want %s", c.entry.TCP, c.idle, got.Reason, got.Why, c.want)
		}
	}
	// By the time that established ones live it would be in time.
	closing.Settings = on(300, true)
	closing.Table = &Table{Name: "node", State: TableUnreadable, Established: 86400 * second, CloseWait: 60 * second}
	if got := Assemble([]Look{closing}, filter)[0][0]; got.Reason != ProbeTooLate {
		t.Errorf("%s: %s", got.Reason, got.Why)
	}
}

// TestLate: the kernel's timers as measured: 33 s ran out after 34.22 s, 110 s after 112.04 s.
func TestLate(t *testing.T) {
	for set, measured := range map[time.Duration]time.Duration{33 * second: 34220 * time.Millisecond, 45 * second: 46500 * time.Millisecond, 110 * second: 112040 * time.Millisecond} {
		if set+late(set) < measured {
			t.Errorf("%s: %s, but it ran out after %s", set, set+late(set), measured)
		}
	}
	if got := late(7200 * second); got < 262144*time.Millisecond {
		t.Errorf("7200 s: %s, but the wheel's granularity is 262.144 s there", got)
	}
}

// TestCommand: nobody is told to become what he is.
func TestCommand(t *testing.T) {
	for caller, want := range map[Caller]string{
		User: "sudo ctsim audit --pid 4711", Root: "ctsim audit --netns /proc/4711/ns/net --node NODE", Confined: "on the node itself",
	} {
		l := unlinked(probed())
		l.Caller, l.Path, l.Owners = caller, "/proc/4711/ns/net", map[uint32]Process{4711: {PID: 4711, Name: "client"}}
		got := Assemble([]Look{l}, Filter{})[0][0]
		if !strings.Contains(got.Command, want) || caller == Root && strings.Contains(got.Command+got.Why, "sudo") {
			t.Errorf("%d: %q, want %q", caller, got.Command, want)
		}
	}
	for path, want := range map[string]string{"/run/netns/blue": "/run/netns/blue", "/run/netns/a b;reboot": "'/run/netns/a b;reboot'", "/a'b": `'/a'\''b'`} {
		if got := quote(path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	if hint := Root.hint(); hint != "" {
		t.Errorf("to root: %q", hint)
	}
}

// TestEveryOKHasATable: of all that can be missing, nothing makes an ok of a connection whose entry was not found, unless
// every table on the way was read and tracks nothing.
func TestEveryOKHasATable(t *testing.T) {
	states := []func() *Table{
		func() *Table { return table("t") },
		func() *Table { return hooks(table("t"), true, true) },
		func() *Table { return hooks(table("t"), false, false) },
		func() *Table { return &Table{Name: "t", State: TableNone} },
		func() *Table { return &Table{Name: "t", State: TableUnreadable} },
		func() *Table { return &Table{Name: "t", State: TableUnreadable, Established: 86400 * second} },
	}
	innocent := []int{2, 3} // those that are known not to track
	for own := range states {
		for near := -1; near < len(states); near++ {
			l := probed()
			l.Table = states[own]()
			looks := []Look{l}
			good := slices.Contains(innocent, own)
			if near < 0 {
				looks[0] = unlinked(l)
				good = false
			} else {
				looks = []Look{linked(l, 1), linked(Look{Now: now, Table: states[near]()}, 0)}
				good = good && slices.Contains(innocent, near)
			}
			got := Assemble(looks, Filter{})[0][0]
			if (got.Verdict == OK) != good {
				t.Errorf("own table %d, node's %d: %s (%s): %s", own, near, got.Verdict, got.Reason, got.Why)
			}
		}
	}
}

// TestLasting: an entry that goes between two readings of a table does not take its connection out of the report.
func TestLasting(t *testing.T) {
	old, fresh, tracked := idleSocket(second, 0), idleSocket(0, 0), idleSocket(0, 0)
	fresh.Local, tracked.Local = netip.AddrPortFrom(client.Addr(), 1), netip.AddrPortFrom(client.Addr(), 2)
	e := entry(300 * second)
	e.Original.Src = tracked.Local
	got := lasting(one(old), []socket.Socket{old, fresh, tracked}, table("t", e))
	if len(got) != 2 || got[0].Local != old.Local || got[1].Local != tracked.Local {
		t.Errorf("%v", got)
	}
}
