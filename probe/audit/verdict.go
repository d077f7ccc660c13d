package audit

// Verdict is what becomes of a connection that goes on being silent.
type Verdict string

// The verdicts.
const (
	// OK: a probe refreshes the entry before it expires, or nothing tracks the connection.
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
)

// The reasons for OK.
const (
	// ProbeInTime: the first probe comes before the entry expires.
	ProbeInTime Reason = "probe-in-time"
	// PeerProbes: as ProbeInTime, but it is the other end's probe.
	PeerProbes Reason = "peer-probes"
	// NotTracked: no namespace that the connection is known to pass through tracks it.
	NotTracked Reason = "not-tracked"
)

// The reasons for Unknown.
const (
	// KeepaliveHidden: data is under way, and while it is the kernel shows another timer than the keepalive one.
	KeepaliveHidden Reason = "keepalive-hidden"
	// ProbeUncertain: the first probe may come in time or too late; the socket's own idle time could not be read.
	ProbeUncertain Reason = "probe-uncertain"
	// EntryMissing: the node tracks connections, but has no entry for this one, which was not silent for long enough to
	// explain it. It may have been flushed, or the connection passes the node by.
	EntryMissing Reason = "entry-missing"
	// EntryNotSeen: the connection may or may not pass through conntrack; no table that could be read has it.
	EntryNotSeen Reason = "entry-not-seen"
	// EntryOffloaded: the entry is in a flow table, which keeps it by rules of its own.
	EntryOffloaded Reason = "entry-offloaded"
	// TimeoutUnknown: the table could not be read, and its timeout neither.
	TimeoutUnknown Reason = "timeout-unknown"
)

// Reasons are all of them, with the verdict that each means.
var Reasons = map[Reason]Verdict{
	NoKeepalive: Risk, ProbeTooLate: Risk, EntryGone: Risk,
	ProbeInTime: OK, PeerProbes: OK, NotTracked: OK,
	KeepaliveHidden: Unknown, ProbeUncertain: Unknown, EntryMissing: Unknown, EntryNotSeen: Unknown,
	EntryOffloaded: Unknown, TimeoutUnknown: Unknown,
}
