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
	// own and peer are the first probes of this socket and, if it was seen too, of the one at the other end.
	own, peer firstProbe
	now       time.Time
	// table is the namespace's own, node that of the node that the namespace is on; nil if that is the same.
	table, node *Table
	entries     []found
}

// judgement is what judge finds.
type judgement struct {
	reason Reason
	// left is the time until the entry is gone, estimated if it could not be read; entry is the one that goes first.
	left      time.Duration
	estimated bool
	entry     *found
	// timeout is what the entry's time is set to by the next packet, 0 if not known.
	timeout time.Duration
	strict  bool
	// first is the probe that was set against the time left; byPeer: it is the other end's.
	first  firstProbe
	byPeer bool
}

// judge says what becomes of the connection if it stays silent.
func (f *facts) judge() judgement {
	if len(f.entries) > 0 {
		return f.judgeEntries()
	}
	doubt := judgement{reason: NotTracked}
	for _, t := range []*Table{f.table, f.node} {
		if t == nil || t != f.table && staysInside(f.socket) {
			continue
		}
		if j, tracked := f.judgeMissing(t); tracked && (doubt.reason == NotTracked || worse(Reasons[j.reason], Reasons[doubt.reason])) {
			doubt = j
		}
	}
	return doubt
}

// judgeEntries goes by the entry that expires first.
func (f *facts) judgeEntries() judgement {
	j := judgement{left: -1}
	for i := range f.entries {
		e := &f.entries[i]
		if e.HasTimeout && (j.left < 0 || e.left(f.now) < j.left) {
			j.left, j.entry, j.timeout, j.strict = e.left(f.now), e, e.table.Established, e.table.Strict
		}
	}
	if j.entry == nil {
		return judgement{reason: EntryOffloaded, entry: &f.entries[0]}
	}
	return f.compare(j)
}

// compare sets the first probe against the time left.
func (f *facts) compare(j judgement) judgement {
	first, reason := f.own, ProbeInTime
	if f.peer.known && !f.peer.never && (!first.known || first.never || f.peer.latest < first.latest) {
		first, reason, j.byPeer = f.peer, PeerProbes, true
	}
	j.first = first
	switch {
	case f.refreshedByPeer(j):
		j.reason = PeerProbes
	case !first.known:
		j.reason = KeepaliveHidden
	case first.never:
		j.reason = NoKeepalive
	case first.earliest >= j.left:
		j.reason = ProbeTooLate
	case first.latest >= j.left:
		j.reason = ProbeUncertain
	default:
		j.reason = reason
	}
	return j
}

// slack is by how much the times of a socket and of an entry may differ although they are of the same packet: conntrack
// counts whole seconds, and a listing takes its time.
const slack = 5 * time.Second

// refreshedByPeer tells whether the entry was refreshed by packets that this side's socket does not count: the probes of
// the other end, which the kernel answers without a note. They come often enough, or there would be no entry left.
func (f *facts) refreshedByPeer(j judgement) bool {
	since, known := silent(f.socket)
	if !known || j.entry == nil || j.entry.TCP != conntrack.TCPEstablished || j.timeout == 0 || j.left > j.timeout {
		return false
	}
	quiet := f.socket.Timer.Kind == socket.Off || f.socket.Timer.Kind == socket.Keepalive && f.socket.Timer.Probes == 0
	return quiet && j.timeout-j.left+slack < since
}

// judgeMissing is for a connection that has no entry in a table, or none that could be read; tracked is false if the table
// is not one that could have it.
func (f *facts) judgeMissing(t *Table) (j judgement, tracked bool) {
	j = judgement{timeout: t.Established, strict: t.Strict}
	yes, known := t.tracks(f.socket)
	since, sinceKnown := silent(f.socket)
	outlived := sinceKnown && t.Established > 0 && since >= t.Established
	switch {
	case known && !yes:
		return j, false
	case t.State == TableUnreadable && t.Established == 0:
		j.reason = TimeoutUnknown
	case t.State == TableUnreadable:
		j.left, j.estimated = max(0, t.Established-since), true
		j = f.compare(j)
	case known && (t == f.table || outlived):
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
