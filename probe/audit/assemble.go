package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

// Look is all that was read of one namespace.
type Look struct {
	// Sockets are its TCP sockets at the moment Now.
	Sockets []socket.Socket
	Now     time.Time
	// Settings are the keepalive settings of its sockets by cookie, as far as they could be read.
	Settings map[uint64]Settings
	// System is net.ipv4.tcp_keepalive_time, 0 if not known.
	System time.Duration
	// Table is its own conntrack table.
	Table *Table
	// Node is the table of the node it is on, if the caller named that; nil otherwise, and Links tell.
	Node *Table
	// Links are its ways out.
	Links Links
	// Only, unless it is nil, are the inodes of the sockets to list; the others are looked at only as their peers.
	Only map[uint32]bool
	// Owners are the processes of its sockets by inode.
	Owners map[uint32]Process
	// Path is where the namespace can be entered: `nsenter --net=PATH`.
	Path string
	// Caller is who asks.
	Caller Caller
}

// Filter chooses connections. The zero value takes all established ones.
type Filter struct {
	// Port is the local or remote port, or the one it is translated to or from; 0 takes any.
	Port uint16
	// States are ESTABLISHED, CLOSE_WAIT or both; empty is ESTABLISHED alone.
	States []socket.State
	// Only lists those with this verdict, all if it is empty; the summaries count all the same.
	Only Verdict
}

// Assemble judges the connections of namespaces that were read at one time, each list with those at risk first, then by
// address. Looks whose connections share an entry find the two ends of it between them.
func Assemble(looks []Look, filter Filter) [][]Connection {
	every, shared, w := make([][]*facts, len(looks)), peers{}, newWorldOf(looks)
	for i, l := range looks {
		for _, s := range l.Sockets {
			if s.State == socket.Established || s.State == socket.CloseWait {
				f := l.facts(s)
				w.follow(f, i)
				every[i] = append(every[i], f)
			}
		}
		shared.add(every[i])
	}
	lists := make([][]Connection, len(looks))
	for i, l := range looks {
		lists[i] = []Connection{}
		for _, f := range every[i] {
			if filter.takes(f) && (l.Only == nil || l.Only[f.socket.Inode]) {
				f.peer = shared.of(f)
				lists[i] = append(lists[i], f.connection())
			}
		}
		slices.SortFunc(lists[i], inOrder)
	}
	return lists
}

func inOrder(a, b Connection) int {
	return cmp.Or(
		cmp.Compare(slices.Index(Verdicts, a.Verdict), slices.Index(Verdicts, b.Verdict)),
		a.Local.Compare(b.Local), a.Remote.Compare(b.Remote),
	)
}

func (filter Filter) takes(f *facts) bool {
	if len(filter.States) == 0 && f.socket.State != socket.Established ||
		len(filter.States) > 0 && !slices.Contains(filter.States, f.socket.State) {
		return false
	}
	if filter.Port == 0 || filter.Port == f.socket.Local.Port() || filter.Port == f.socket.Remote.Port() {
		return true
	}
	return slices.ContainsFunc(f.entries, func(e found) bool {
		return filter.Port == e.Original.Dst.Port() || filter.Port == e.Reply.Src.Port()
	})
}

func (l Look) facts(s socket.Socket) *facts {
	f := &facts{socket: s, now: l.Now, path: l.Path, caller: l.Caller}
	if settings, ok := l.Settings[s.Cookie]; ok && s.Cookie != 0 {
		f.settings = &settings
	}
	if owner, ok := l.Owners[s.Inode]; ok && s.Inode != 0 {
		f.owner = &owner
	}
	f.own = probeOf(s, f.settings, l.System)
	return f
}

// peers are the sockets that share an entry.
type peers map[*conntrack.Entry][]*facts

func (p peers) add(all []*facts) {
	for _, f := range all {
		for _, e := range f.entries {
			p[e.Entry] = append(p[e.Entry], f)
		}
	}
}

// of is the first probe of the socket at the other end of f, if that was seen too.
func (p peers) of(f *facts) (first firstProbe) {
	for _, e := range f.entries {
		for _, other := range p[e.Entry] {
			if other != f && (other.socket.Local != f.socket.Local || other.socket.Remote != f.socket.Remote) && !other.own.unanswered {
				first = other.own
			}
		}
	}
	return first
}

func (f *facts) connection() Connection {
	s, j := f.socket, f.judge()
	c := Connection{
		Local: s.Local, Remote: s.Remote, State: s.State.String(), UID: s.UID,
		Timer: Timer{
			Kind: s.Timer.Kind.String(), ExpiresS: s.Timer.Expires.Seconds(), Retransmits: s.Timer.Retransmits,
			Probes: s.Timer.Probes, Netstat: s.Timer.Netstat(),
		},
		Keepalive: f.keepalive(),
		Entries:   []Entry{},
		Verdict:   Reasons[j.reason], Reason: j.reason, Estimated: j.estimated, Why: f.why(j), Cure: f.cure(j),
		Command: f.command(j), Process: f.owner,
	}
	if d, ok := idle(s); ok {
		c.IdleS = pointer(d.Seconds())
	}
	if j.entry != nil && j.entry.HasTimeout || j.estimated {
		c.LeftS = pointer(j.left.Seconds())
	}
	for _, e := range f.entries {
		c.Entries = append(c.Entries, f.translated(e))
	}
	return c
}

func (f *facts) keepalive() Keepalive {
	var k Keepalive
	switch {
	case f.settings != nil:
		k.On, k.IdleS, k.Own = &f.settings.On, pointer(f.settings.Idle.Seconds()), f.settings.Own
	case f.own.known:
		k.On = pointer(!f.own.never)
	}
	if f.own.known && !f.own.never {
		k.EarliestS, k.LatestS = pointer(f.own.earliest.Seconds()), pointer(f.own.latest.Seconds())
	}
	return k
}

// translated is an entry as this side sees it.
func (f *facts) translated(e found) Entry {
	out := Entry{
		Table: e.table.Name, Original: Tuple{e.Original.Src, e.Original.Dst}, Reply: Tuple{e.Reply.Src, e.Reply.Dst},
		State: e.TCP.String(), Assured: e.Status.Has(conntrack.StatusAssured),
	}
	if e.HasTimeout {
		out.LeftS = pointer(e.left(f.now).Seconds())
	}
	if e.reply {
		out.Service, out.Client = unlike(e.Original.Dst, e.Reply.Src), unlike(e.Original.Src, e.Reply.Dst)
	} else {
		out.Backend, out.Source = unlike(e.Reply.Src, e.Original.Dst), unlike(e.Reply.Dst, e.Original.Src)
	}
	return out
}

// none tells whether an entry translates nothing.
func (e Entry) none() bool {
	return e.Backend == "" && e.Service == "" && e.Client == "" && e.Source == ""
}

// unlike is a in words if it is not b.
func unlike(a, b netip.AddrPort) string {
	if a == b {
		return ""
	}
	return a.String()
}

func pointer[T any](v T) *T { return &v }
