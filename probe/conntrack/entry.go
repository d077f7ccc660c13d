package conntrack

import "time"

// Entry is one row of the connection tracking table, as a dump (`conntrack -L`) shows it. An Event carries the same
// fields, as far as the kernel sent them; the Has… fields tell what was there. In a dump or a look-up that is the status,
// the mark and, unless the entry is offloaded, the time left.
type Entry struct {
	// ID tells entries with equal tuples apart (CTA_ID). It is a hash, 0 if the message had none.
	ID uint32
	// Original is the tuple of the first packet, Reply that of its answers: with DNAT, Reply.Src is the backend.
	Original, Reply Tuple
	// Status is the set of IPS_* bits (CTA_STATUS).
	Status    Status
	HasStatus bool
	// Timeout is the time left, in whole seconds (CTA_TIMEOUT).
	Timeout    time.Duration
	HasTimeout bool
	// TCP is the state (CTA_PROTOINFO_TCP). An UPDATE that changes no state has none.
	TCP    TCPState
	HasTCP bool
	// Mark is the connection mark (CTA_MARK), which is not the packet mark.
	Mark    uint32
	HasMark bool
	// Use is the entry's reference count (CTA_USE), 0 if not sent.
	Use uint32
	// Zone is 0 for the default zone, which is never sent.
	Zone uint16
	// Helper is the name of the helper, "ftp" for instance (CTA_HELP_NAME).
	Helper string
	// SecurityContext is the security label, where the kernel has one (CTA_SECCTX).
	SecurityContext string
	// OriginalCount and ReplyCount are there only with sysctl nf_conntrack_acct=1 (CTA_COUNTERS_ORIG, _REPLY), and not
	// in NEW and UPDATE events. In a dump, counters that are all 0 are taken for none.
	OriginalCount, ReplyCount Counter
	HasCounters               bool
	// Start and Stop are when the entry was made and destroyed, on CLOCK_REALTIME, only with sysctl
	// nf_conntrack_timestamp=1 (CTA_TIMESTAMP); zero if not sent. NEW and UPDATE have neither, a dump only Start.
	Start, Stop time.Time
	// Seen is when this was read, on this process's clock; zero when decoded from a recording. String needs it to tell
	// the age of a living entry.
	Seen time.Time
}

// Counter counts the packets of one direction.
type Counter struct{ Packets, Bytes uint64 }
