package audit

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

var (
	now     = time.Unix(1_800_000_000, 0)
	client  = netip.MustParseAddrPort("172.18.219.65:41024")
	service = netip.MustParseAddrPort("10.108.33.37:2222")
	backend = netip.MustParseAddrPort("172.18.166.131:2222")
)

// entry is the client's, translated to the backend, with so much time left.
func entry(left time.Duration) conntrack.Entry {
	return conntrack.Entry{
		Original: conntrack.NewTuple(conntrack.ProtocolTCP, client, service),
		Reply:    conntrack.NewTuple(conntrack.ProtocolTCP, backend, client),
		Status:   conntrack.StatusSeenReply | conntrack.StatusAssured | conntrack.StatusDstNAT, HasStatus: true,
		Timeout: left, HasTimeout: true, TCP: conntrack.TCPEstablished, HasTCP: true, Seen: now,
	}
}

// table is one in which entries start with 86400 s.
func table(name string, entries ...conntrack.Entry) *Table {
	t := NewTable(name, entries)
	t.Established = 86400 * time.Second
	return t
}

// idleSocket is the client's, silent for so long, with a keepalive timer that runs out in probe; never if that is 0.
func idleSocket(silent, probe time.Duration) socket.Socket {
	s := socket.Socket{Local: client, Remote: service, State: socket.Established, Cookie: 1, Inode: 4711,
		Info: &socket.Info{LastDataSent: silent, LastDataReceived: silent, LastAckReceived: silent}}
	if probe > 0 {
		s.Timer = socket.Timer{Kind: socket.Keepalive, Expires: probe}
	}
	return s
}

func busySocket() socket.Socket {
	s := idleSocket(0, 0)
	s.Timer = socket.Timer{Kind: socket.Retransmit, Expires: time.Second}
	return s
}

func on(seconds int, own bool) map[uint64]Settings {
	return map[uint64]Settings{1: {On: true, Idle: time.Duration(seconds) * time.Second, Own: own}}
}

func offloaded() conntrack.Entry {
	e := entry(0)
	e.HasTimeout, e.Status = false, e.Status|conntrack.StatusOffload
	return e
}

func strict(t *Table) *Table { t.Strict = true; return t }

func hooks(t *Table, ipv4, ipv6 bool) *Table {
	t.HooksKnown, t.TracksIPv4, t.TracksIPv6 = true, ipv4, ipv6
	return t
}

const second = time.Second

// shorter is a table whose timeout was set lower than it was when its entries were made.
func shorter(t *Table) *Table { t.Established = 6400 * second; return t }

// further is the client's entry in a table behind the one that translates.
func further(left time.Duration) conntrack.Entry {
	e := entry(left)
	e.Original.Dst = backend
	return e
}

func inState(s conntrack.TCPState, left time.Duration) conntrack.Entry {
	e := entry(left)
	e.TCP = s
	return e
}

func unreplied() conntrack.Entry {
	e := entry(300 * second)
	e.Status = conntrack.StatusDstNAT
	return e
}

func retransmitting() socket.Socket {
	s := busySocket()
	s.Timer = socket.Timer{Kind: socket.Retransmit, Expires: 12 * second, Retransmits: 6}
	return s
}

// TestJudge has a row for every reason there is.
func TestJudge(t *testing.T) {
	unreadable := func(established time.Duration) *Table {
		return &Table{Name: "host", State: TableUnreadable, Established: established}
	}
	other := entry(86000 * second)
	other.Original.Src = netip.AddrPortFrom(client.Addr(), 1)
	for _, c := range []struct {
		name string
		look Look
		want Reason
		left time.Duration // -1: none
		say  string
	}{
		{"keepalive off", Look{Sockets: one(idleSocket(400*second, 0)), Table: table("host", entry(86000*second))},
			NoKeepalive, 86000 * second, "keepalive is off, so no probe ever comes; the entry has 86000 s left; what is sent after that may go to another backend"},
		{"on the node", Look{Sockets: one(idleSocket(400*second, 0)), Table: table("pod"), Node: table("host", entry(86000*second))},
			NoKeepalive, 86000 * second, "the entry on host has 86000 s left"},
		{"the first of two entries counts", Look{Sockets: one(idleSocket(400*second, 0)), Table: table("pod", entry(86000*second)), Node: table("host", further(85000*second))},
			NoKeepalive, 86000 * second, "the entry has 86000 s left; what is sent after that may go to another backend"},
		{"one entry of two is at risk", Look{Sockets: one(idleSocket(400*second, 7000*second)), Settings: on(7400, true), Table: table("pod", entry(86000*second)), Node: shorter(table("host", further(6000*second)))},
			ProbeTooLate, 6000 * second, "on host"},
		{"loose off", Look{Sockets: one(idleSocket(400*second, 0)), Table: strict(table("host", entry(86000*second)))},
			NoKeepalive, 86000 * second, "INVALID (nf_conntrack_tcp_loose=0)"},
		{"probe after the end", Look{Sockets: one(idleSocket(2*second, 7198*second)), Table: table("host", entry(298*second))},
			ProbeTooLate, 298 * second, "the first probe comes in 7198 s, too late; the entry has 298 s left"},
		{"probe at the end is too late", Look{Sockets: one(idleSocket(2*second, 298*second)), Table: table("host", entry(298*second)), Settings: on(300, true)},
			ProbeTooLate, 298 * second, "too late"},
		{"probe a second before", Look{Sockets: one(idleSocket(2*second, 297*second)), Table: table("host", entry(298*second)), Settings: on(299, true)},
			ProbeUncertain, 298 * second, "due in 297 s, but timers of that length may run out late, at 335 s"},
		{"as late as the kernel's timers may be", Look{Sockets: one(idleSocket(2*second, 297*second)), Table: table("host", entry(334*second)), Settings: on(299, true)},
			ProbeUncertain, 334 * second, "at 335 s"},
		{"and before that", Look{Sockets: one(idleSocket(2*second, 297*second)), Table: table("host", entry(335*second)), Settings: on(299, true)},
			ProbeInTime, 335 * second, "a probe comes in 335 s at the latest"},
		{"in time once, but not again", Look{Sockets: one(idleSocket(400*second, 6800*second)), Table: shorter(table("host", entry(86000*second))), Settings: on(7200, false)},
			IntervalTooLong, 86000 * second, "comes in time, but refreshes the entry to 6400 s only, and the next comes 7200 s later"},
		{"in time once, perhaps not again", Look{Sockets: one(idleSocket(400*second, 5600*second)), Table: shorter(table("host", entry(86000*second))), Settings: on(6000, true)},
			ProbeUncertain, 86000 * second, "the next may come as late as 6762 s after it, and the entry it refreshes then has 6400 s"},
		{"TCP_KEEPIDLE may be more than the system's", Look{Sockets: one(idleSocket(400*second, 6800*second)), System: 7200 * second, Table: table("host", entry(20000*second))},
			ProbeUncertain, 20000 * second, "as late as in 36528 s"},
		{"kernel's defaults", Look{Sockets: one(idleSocket(400*second, 6800*second)), System: 7200 * second, Table: table("host", entry(86000*second))},
			ProbeInTime, 86000 * second, "in 36528 s at the latest"},
		{"timer set before the last packet, idle time known", Look{Sockets: one(idleSocket(0, 10*second)), Table: table("host", entry(3600*second)), Settings: on(7200, false)},
			ProbeTooLate, 3600 * second, "the first probe comes in 7200 s"},
		{"timer set before the last packet, idle time not known", Look{Sockets: one(idleSocket(0, 10*second)), System: 7200 * second, Table: table("host", entry(3600*second))},
			ProbeUncertain, 3600 * second, "as late as in 36928 s"},
		{"probes under way", Look{Sockets: one(probing(3 * second)), System: 7200 * second, Table: table("host", entry(86000*second))},
			NoAnswer, 86000 * second, "unanswered (keepalive (3.00/0/2))"},
		{"data sent again and again", Look{Sockets: one(retransmitting()), Table: table("host", entry(86000*second)), Settings: on(75, true)},
			NoAnswer, 86000 * second, "unanswered (on (12.00/6/0))"},
		{"data under way", Look{Sockets: one(busySocket()), Table: table("host", entry(300*second))},
			KeepaliveHidden, 300 * second, "shows the on timer"},
		{"data under way, settings known", Look{Sockets: one(busySocket()), Table: table("host", entry(300*second)), Settings: on(75, true)},
			ProbeInTime, 300 * second, "85 s"},
		{"data under way, off", Look{Sockets: one(busySocket()), Table: table("host", entry(300*second)), Settings: map[uint64]Settings{1: {}}},
			NoKeepalive, 300 * second, ""},
		{"refreshed by somebody else", Look{Sockets: one(idleSocket(5000*second, 0)), Table: table("host", entry(86390*second))},
			EntryRefreshed, 86390 * second, "silent for 5000 s, yet the entry was refreshed 10 s ago"},
		{"entry of an earlier connection", Look{Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: table("host", inState(conntrack.TCPTimeWait, 100*second))},
			EntryState, 100 * second, "the entry is TIME_WAIT, which does not fit"},
		{"entry made in mid-stream, no answer yet", Look{Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: table("host", unreplied())},
			EntryState, 300 * second, "ESTABLISHED [UNREPLIED]"},
		{"entry that packets do not meet any more", Look{Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: hooks(table("host", entry(86000*second)), false, false)},
			TrackingOff, 86000 * second, "do not go through conntrack there any more"},
		{"expired", Look{Sockets: one(idleSocket(90000*second, 0)), Table: hooks(table("host"), true, false)},
			EntryGone, -1, "expired (silent for 90000 s, timeout 86400 s)"},
		{"flushed", Look{Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("host"), true, true)},
			EntryGone, -1, "flushed (silent for 400 s only"},
		{"flushed, known by the other entries", Look{Sockets: one(idleSocket(400*second, 0)), Table: table("host", other)},
			EntryGone, -1, "flushed"},
		{"only IPv6 is tracked", Look{Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("host"), false, true)},
			NotTracked, -1, "nothing is tracked here"},
		{"no conntrack", Look{Sockets: one(idleSocket(400*second, 0)), Table: &Table{State: TableNone}},
			NotTracked, -1, ""},
		{"empty table, hooks not known", Look{Sockets: one(idleSocket(400*second, 0)), Table: table("host")},
			EntryNotSeen, -1, "no entry in any table that could be read"},
		{"entries, but no hooks", Look{Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("host", other), false, false)},
			EntryNotSeen, -1, ""},
		{"pod, node not read", Look{Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("pod"), false, false), Links: Links{Unseen: []string{"eth0"}}},
			NodeUnread, -1, "by eth0, for one whose table was not read"},
		{"pod that tracks, node not read", Look{Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: table("pod", entry(86000*second)), Links: Links{Unseen: []string{"eth0"}}},
			NodeUnread, -1, "by eth0"},
		{"pod that tracks, flushed on the node", Look{Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: table("pod", entry(86000*second)), Node: table("host", other)},
			EntryMissing, -1, "host tracks connections, but has no entry"},
		{"pod whose own entry is gone", Look{Sockets: one(idleSocket(2*second, 5*second)), Settings: on(7, true), Table: table("pod", other), Node: table("host", entry(86000*second))},
			EntryGone, -1, "flushed"},
		{"pod, node tracks others", Look{Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("pod"), false, false), Node: table("host", other)},
			EntryMissing, -1, "host tracks connections, but has no entry"},
		{"pod, expired on the node", Look{Sockets: one(idleSocket(90000*second, 0)), Table: hooks(table("pod"), false, false), Node: hooks(table("host"), true, true)},
			EntryGone, -1, "expired"},
		{"pod, node tracks nothing", Look{Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("pod"), false, false), Node: hooks(table("host"), false, false)},
			NotTracked, -1, ""},
		{"loopback never reaches the node", Look{Sockets: one(loopback()), Table: hooks(table("pod"), false, false), Node: hooks(table("host", other), true, true)},
			NotTracked, -1, ""},
		{"unreadable table", Look{Sockets: one(idleSocket(400*second, 0)), Table: unreadable(86400 * second)},
			NoKeepalive, 86000 * second, "estimated"},
		{"unreadable table, in time", Look{Sockets: one(idleSocket(400*second, 6800*second)), System: 7200 * second, Table: unreadable(86400 * second)},
			TableUnread, 86000 * second, "the table of host could not be read"},
		{"unreadable table and timeout", Look{Sockets: one(idleSocket(400*second, 0)), Table: unreadable(0)},
			TimeoutUnknown, -1, ""},
		{"flow table", Look{Sockets: one(idleSocket(400*second, 0)), Table: table("host", offloaded())},
			EntryOffloaded, -1, "flow table"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.look.Now = now
			list := Assemble([]Look{c.look}, Filter{})[0]
			if len(list) != 1 {
				t.Fatalf("%d connections", len(list))
			}
			got := list[0]
			left := time.Duration(-1)
			if got.LeftS != nil {
				left = time.Duration(*got.LeftS * float64(second))
			}
			if got.Reason != c.want || left != c.left || got.Verdict != Reasons[c.want] || !strings.Contains(got.Why, c.say) {
				t.Errorf("%s (%s), left %s, %q\nwant %s, left %s, %q", got.Reason, got.Verdict, left, got.Why, c.want, c.left, c.say)
			}
			if (got.Verdict == Unknown) != (got.Command != "") {
				t.Errorf("%s: command %q", got.Verdict, got.Command)
			}
			if (got.Verdict == Risk) != (got.Cure != "") && got.Reason != ProbeUncertain {
				t.Errorf("%s: cure %q", got.Verdict, got.Cure)
			}
			delete(unseen, c.want)
		})
	}
	delete(unseen, PeerProbes) // TestBothEnds has it
	if len(unseen) > 0 {
		t.Errorf("no row for %v", unseen)
	}
}

var unseen = func() map[Reason]bool {
	all := map[Reason]bool{}
	for r := range Reasons {
		all[r] = true
	}
	return all
}()

func one(s socket.Socket) []socket.Socket { return []socket.Socket{s} }

func probing(next time.Duration) socket.Socket {
	s := idleSocket(7210*second, next)
	s.Timer.Probes = 2
	return s
}

func loopback() socket.Socket {
	s := idleSocket(400*second, 0)
	s.Local, s.Remote = netip.MustParseAddrPort("127.0.0.1:41024"), netip.MustParseAddrPort("127.0.0.1:2222")
	return s
}

// TestBothEnds: with both ends in sight, in two namespaces, the one with keepalive on saves the other, and each is shown
// the translation from its own side.
func TestBothEnds(t *testing.T) {
	node := table("host", entry(86000*second))
	server := idleSocket(400*second, 6800*second)
	server.Local, server.Remote, server.Cookie = backend, client, 2
	lists := Assemble([]Look{
		{Now: now, Sockets: one(idleSocket(400*second, 0)), Table: hooks(table("pod a"), false, false), Node: node},
		{Now: now, Sockets: one(server), Table: hooks(table("pod b"), false, false), Node: node, System: 7200 * second},
	}, Filter{})
	a, b := lists[0][0], lists[1][0]
	if a.Reason != PeerProbes || b.Reason != ProbeInTime || !strings.Contains(a.Why, "the other end probes in 36528 s") {
		t.Errorf("%s: %s\n%s: %s", a.Reason, a.Why, b.Reason, b.Why)
	}
	if got := a.Entries[0]; got.Backend != backend.String() || got.Service != "" || got.Source != "" || got.Table != "host" {
		t.Errorf("client's side: %+v", got)
	}
	if got := b.Entries[0]; got.Service != service.String() || got.Backend != "" || got.Client != "" {
		t.Errorf("server's side: %+v", got)
	}
}

// TestMapped: an IPv6 socket that serves IPv4 has the entry of the IPv4 packets, and one of IPv6 its own.
func TestMapped(t *testing.T) {
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	s := idleSocket(0, 0)
	s.Local, s.Remote = mapped(backend), mapped(client)
	six := s
	six.Local, six.Remote = netip.MustParseAddrPort("[2001:db8::1]:2222"), netip.MustParseAddrPort("[2001:db8::2]:4000")
	e := entry(100 * second)
	e.Original = conntrack.NewTuple(conntrack.ProtocolTCP, six.Remote, six.Local)
	e.Reply = e.Original.Invert()
	list := Assemble([]Look{{Now: now, Sockets: []socket.Socket{s, six}, Table: table("host", entry(86000*second), e)}}, Filter{})[0]
	for _, c := range list {
		if len(c.Entries) != 1 || c.Reason != NoKeepalive {
			t.Errorf("%s: %+v", c.Local, c)
		}
	}
}

func TestFilter(t *testing.T) {
	closing := idleSocket(0, 0)
	closing.State, closing.Local = socket.CloseWait, netip.AddrPortFrom(client.Addr(), 9)
	listening := socket.Socket{Local: service, State: socket.Listening}
	plain := idleSocket(0, 0)
	plain.Local = netip.AddrPortFrom(client.Addr(), 10)
	plain.Remote = netip.AddrPortFrom(client.Addr(), 5432)
	e := entry(100 * second)
	e.Reply.Src = netip.AddrPortFrom(backend.Addr(), 8080)
	l := Look{Now: now, Sockets: []socket.Socket{idleSocket(0, 0), closing, listening, plain}, Table: table("host", e)}
	for _, c := range []struct {
		filter Filter
		want   int
	}{
		{Filter{}, 2},
		{Filter{Port: 2222}, 1},
		{Filter{Port: 8080}, 1}, // the backend's own
		{Filter{Port: 10}, 1},
		{Filter{Port: 1}, 0},
		{Filter{States: []socket.State{socket.CloseWait}}, 1},
		{Filter{States: []socket.State{socket.CloseWait, socket.Established}}, 3},
	} {
		if got := Assemble([]Look{l}, c.filter)[0]; len(got) != c.want {
			t.Errorf("%+v: %d connections, want %d", c.filter, len(got), c.want)
		}
	}
	l.Only = map[uint32]bool{}
	if got := Assemble([]Look{l}, Filter{})[0]; len(got) != 0 {
		t.Errorf("of a process without sockets: %d", len(got))
	}
}
