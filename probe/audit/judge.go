package audit

import (
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

// facts are all that is known of one connection at the moment now.
type facts struct {
	socket   socket.Socket
	settings *Settings
	// owner has the socket, nil if that is not known; path is where its namespace can be entered; caller is who asks.
	owner  *Process
	path   string
	caller Caller
	// own and peer are the first probes of this socket and, if it was seen too, of the one at the other end.
	own, peer firstProbe
	now       time.Time
	// table is the namespace's own, node that of the node that the namespace is on, through which all must go that leaves
	// it; nil if there is none. beyond are those that it may pass as well.
	table, node *Table
	beyond      []*Table
	// unseen are devices that may lead it to a namespace that was not read; nodeUnseen: all must go through one of them.
	unseen     []string
	nodeUnseen bool
	entries    []found
	// elsewhere are tables that have an entry for these addresses, but which no packet of this connection gets to.
	elsewhere []string
}

// judgement is what judge finds.
type judgement struct {
	reason Reason
	// left is the time until the entry is gone, estimated if it could not be read; entry is the one that it is about.
	left      time.Duration
	estimated bool
	entry     *found
	// missing is the table that has no entry or could not be read.
	missing *Table
	// timeout is what the entry's time is set to by the next packet, 0 if not known.
	timeout time.Duration
	strict  bool
	// first is the probe that was set against the time left; byPeer: it is the other end's.
	first  firstProbe
	byPeer bool
}

// judge says what becomes of the connection if it stays silent.
func (f *facts) judge() judgement {
	j := f.judgeEntries()
	if len(f.entries) == 0 {
		j = f.judgeNowhere()
	}
	if Reasons[j.reason] == OK && f.own.unanswered {
		j.reason = NoAnswer
	}
	return j
}

// judgeEntries takes the worst of what each entry means, and of what it means that a table that must have one has none: an
// entry that is refreshed in time is of no use if another on the way is gone.
func (f *facts) judgeEntries() (worst judgement) {
	worst.reason = NotTracked // better than any other
	for i := range f.entries {
		j := f.judgeEntry(&f.entries[i])
		if i == 0 || f.precedes(j, worst) {
			worst = j
		}
	}
	for _, t := range []*Table{f.table, f.node} {
		if t == nil || f.hasEntryIn(t) {
			continue
		}
		// An empty table of a pod whose node has the entry is as it should be, unless it is known to track.
		if _, known := t.tracks(f.socket); t == f.table && !known && t.State == TableEmpty {
			continue
		}
		if j, tracked := f.judgeMissing(t, true); tracked && worse(Reasons[j.reason], Reasons[worst.reason]) {
			worst = j
		}
	}
	if f.nodeUnseen && Reasons[worst.reason] == OK {
		worst = judgement{reason: NodeUnread}
	}
	return worst
}

// precedes tells whether a is to be told rather than b: the worse verdict, then the entry whose loss does more harm, then
// the one that goes first.
func (f *facts) precedes(a, b judgement) bool {
	if va, vb := Reasons[a.reason], Reasons[b.reason]; va != vb {
		return worse(va, vb)
	}
	if ha, hb := f.harmless(a), f.harmless(b); ha != hb {
		return hb
	}
	return a.left < b.left
}

// harmless tells whether the next packet is just tracked afresh when the entry is gone.
func (f *facts) harmless(j judgement) bool { return !j.strict && f.translated(*j.entry).none() }

func (f *facts) hasEntryIn(t *Table) bool {
	for _, e := range f.entries {
		if e.table == t {
			return true
		}
	}
	return false
}

func (f *facts) judgeEntry(e *found) judgement {
	j := judgement{entry: e, strict: e.table.Strict}
	if !e.HasTimeout {
		j.reason = EntryOffloaded
		return j
	}
	j.left, j.timeout = e.left(f.now), e.table.renewed(e.TCP)
	j = f.compare(j)
	if Reasons[j.reason] != OK {
		return j
	}
	switch {
	case e.table.passedBy(f.socket):
		j.reason = TrackingOff
	case !fits(f.socket.State, e):
		j.reason = EntryState
	}
	return j
}

// fits tells whether an entry can be that of a connection in such a state. A RST or the end of an earlier connection leaves
// other ones, and one that was made in mid-stream has no answers until the other end is found again.
func fits(s socket.State, e *found) bool {
	if e.HasStatus && !e.Status.Has(conntrack.StatusSeenReply) {
		return false
	}
	switch e.TCP {
	case conntrack.TCPEstablished:
		return s == socket.Established
	case conntrack.TCPFinWait, conntrack.TCPCloseWait:
		return s == socket.CloseWait
	}
	return false
}

// compare sets the first probe against the time left, and the time between probes against what they refresh it to.
func (f *facts) compare(j judgement) judgement {
	first, reason := f.own, ProbeInTime
	if f.peer.known && !f.peer.never && (!first.known || first.never || f.peer.latest < first.latest) {
		first, reason, j.byPeer = f.peer, PeerProbes, true
	}
	j.first = first
	switch {
	case !first.known:
		j.reason = KeepaliveHidden
	case first.never:
		j.reason = NoKeepalive
	case first.earliest >= j.left:
		j.reason = ProbeTooLate
	case j.timeout > 0 && first.every >= j.timeout:
		j.reason = IntervalTooLong
	case first.latest >= j.left, j.timeout > 0 && first.everyMost >= j.timeout:
		j.reason = ProbeUncertain
	default:
		j.reason = reason
	}
	if Reasons[j.reason] != OK && f.refreshed(j) {
		j.reason = EntryRefreshed
	}
	return j
}

// slack is by how much the times of a socket and of an entry may differ although they are of the same packet: conntrack
// counts whole seconds, and a listing takes its time.
const slack = 5 * time.Second

// refreshed tells whether the entry was, it seems, refreshed by packets that this side's socket does not count: the probes
// of the other end, which the kernel answers without a note. A timeout that was set lower while the connection was silent
// gives the same picture, so no more can be made of it.
func (f *facts) refreshed(j judgement) bool {
	since, known := silent(f.socket)
	if !known || j.entry == nil || j.entry.TCP != conntrack.TCPEstablished || j.timeout == 0 || j.left > j.timeout {
		return false
	}
	quiet := f.socket.Timer.Kind == socket.Off || f.socket.Timer.Kind == socket.Keepalive && f.socket.Timer.Probes == 0
	return quiet && j.timeout-j.left+slack < since
}

// judgeNowhere is for a connection that has no entry in any table that was read.
func (f *facts) judgeNowhere() judgement {
	worst := judgement{reason: NotTracked}
	take := func(j judgement, tracked bool) {
		// Of reasons that are equally bad, one that rests on a table that tracks says more.
		if tracked && (worse(Reasons[j.reason], Reasons[worst.reason]) || worst.reason == EntryNotSeen && Reasons[j.reason] == Unknown && j.reason != EntryNotSeen) {
			worst = j
		}
	}
	for _, t := range []*Table{f.table, f.node} {
		if t != nil {
			take(f.judgeMissing(t, true))
		}
	}
	for _, t := range f.beyond {
		take(f.judgeMissing(t, false))
	}
	take(judgement{reason: NodeUnread}, len(f.unseen) > 0)
	// Somebody tracks these addresses. That it is not this connection's is known only if its own way is.
	take(judgement{reason: EntryNotSeen}, worst.reason == NotTracked && len(f.elsewhere) > 0)
	return worst
}

// judgeMissing is for a connection that has no entry in a table, or none that could be read; tracked is false if the table
// is known not to be one that could have it. Sure says that the packets must pass the table's namespace.
func (f *facts) judgeMissing(t *Table, sure bool) (j judgement, tracked bool) {
	j = judgement{timeout: t.timeout(f.socket), strict: t.Strict, missing: t}
	yes, known := t.tracks(f.socket)
	since, sinceKnown := silent(f.socket)
	outlived := sinceKnown && j.timeout > 0 && since >= j.timeout
	switch {
	case known && !yes:
		return j, false
	case t.State == TableUnreadable && j.timeout == 0:
		j.reason = TimeoutUnknown
	case t.State == TableUnreadable:
		j.left, j.estimated = max(0, j.timeout-since), true
		if j = f.compare(j); Reasons[j.reason] == OK {
			j.reason = TableUnread
		}
	case known && (t == f.table || sure && outlived):
		j.reason = EntryGone
	case known:
		j.reason = EntryMissing
	default:
		j.reason = EntryNotSeen
	}
	return j, true
}

// worse tells whether a comes before b in Verdicts.
func worse(a, b Verdict) bool {
	for _, v := range Verdicts {
		if v == a || v == b {
			return v == a && a != b
		}
	}
	return false
}
