package audit

// Verdict is what becomes of a connection that goes on being silent.
type Verdict string

// The verdicts.
const (
	// OK: a probe refreshes the entry before it expires, or nothing tracks the connection. What could tell otherwise was
	// read.
	OK Verdict = "ok"
	// Risk: the entry expires first, or has.
	Risk Verdict = "risk"
	// Unknown: what can be seen does not tell.
	Unknown Verdict = "unknown"
)

// Verdicts are all of them, the worst first.
var Verdicts = []Verdict{Risk, Unknown, OK}

// Reason is why, as a word for programs.
type Reason string

// The reasons for Risk.
const (
	// NoKeepalive: keepalive is off, no probe ever comes.
	NoKeepalive Reason = "no-keepalive"
	// ProbeTooLate: the first probe comes after the entry has expired.
	ProbeTooLate Reason = "probe-too-late"
	// EntryGone: the namespace tracks such connections, and has no entry for this one: expired or flushed. It may also be
	// exempt (NOTRACK) or older than the tracking.
	EntryGone Reason = "entry-gone"
	// IntervalTooLong: the next probe comes in time, but it refreshes the entry to less than the time until the one after.
	IntervalTooLong Reason = "interval-too-long"
)

// The reasons for OK.
const (
	// ProbeInTime: the first probe comes before the entry expires.
	ProbeInTime Reason = "probe-in-time"
	// PeerProbes: as ProbeInTime, but it is the probe of the other end, which was seen too.
	PeerProbes Reason = "peer-probes"
	// NotTracked: every namespace that the connection may pass through on this machine was read, and none tracks it.
	NotTracked Reason = "not-tracked"
)

// The reasons for Unknown.
const (
	// KeepaliveHidden: data is under way, and while it is the kernel shows another timer than the keepalive one.
	KeepaliveHidden Reason = "keepalive-hidden"
	// ProbeUncertain: the first probe may come in time or too late: the socket's own idle time could not be read, or the
	// two are closer than the kernel's timers are exact.
	ProbeUncertain Reason = "probe-uncertain"
	// EntryMissing: the node tracks connections, but has no entry for this one, which was not silent for long enough to
	// explain it. It may have been flushed, or the connection passes the node by.
	EntryMissing Reason = "entry-missing"
	// EntryRefreshed: this end sends no probe in time, but the entry was refreshed while it was silent: by probes of an
	// other end that is not in sight, it seems. A timeout that was lowered meanwhile looks the same.
	EntryRefreshed Reason = "entry-refreshed"
	// EntryState: the entry is in a state that does not fit the socket's, or no answer has passed it yet: it is that of an
	// earlier connection, or was made in mid-stream.
	EntryState Reason = "entry-state"
	// TrackingOff: there is an entry, but packets do not go through conntrack any more.
	TrackingOff Reason = "tracking-off"
	// NoAnswer: what was sent last, data or a probe, is unanswered: the connection may be cut already.
	NoAnswer Reason = "no-answer"
	// NodeUnread: the connection leaves the namespace for one whose table was not read.
	NodeUnread Reason = "node-unread"
	// TableUnread: a probe would come in time for an entry, but the table could not be read, so there may be none.
	TableUnread Reason = "table-unread"
	// EntryNotSeen: the connection may or may not pass through conntrack; no table that could be read has it.
	EntryNotSeen Reason = "entry-not-seen"
	// EntryOffloaded: the entry is in a flow table, which keeps it by rules of its own.
	EntryOffloaded Reason = "entry-offloaded"
	// TimeoutUnknown: the table could not be read, and its timeout neither.
	TimeoutUnknown Reason = "timeout-unknown"
)

// Reasons are all of them, with the verdict that each means.
var Reasons = map[Reason]Verdict{
	NoKeepalive: Risk, ProbeTooLate: Risk, EntryGone: Risk, IntervalTooLong: Risk,
	ProbeInTime: OK, PeerProbes: OK, NotTracked: OK,
	KeepaliveHidden: Unknown, ProbeUncertain: Unknown, EntryMissing: Unknown, EntryNotSeen: Unknown,
	EntryOffloaded: Unknown, TimeoutUnknown: Unknown, EntryRefreshed: Unknown, EntryState: Unknown, TrackingOff: Unknown,
	NoAnswer: Unknown, NodeUnread: Unknown, TableUnread: Unknown,
}
