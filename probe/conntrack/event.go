package conntrack

import "time"

// EventType is what happened to an entry. The zero value is no event.
type EventType uint8

// The events, by their multicast groups NFNLGRP_CONNTRACK_NEW, _UPDATE and _DESTROY.
const (
	New EventType = iota + 1
	Update
	Destroy
)

// String is the conntrack command's word: NEW, UPDATE, DESTROY; "unknown" for anything else.
func (t EventType) String() string {
	switch t {
	case New:
		return "NEW"
	case Update:
		return "UPDATE"
	case Destroy:
		return "DESTROY"
	}
	return "unknown"
}

// Event is one change to the table, as `conntrack -E` shows it.
//
// Events can be merged by the kernel: one UPDATE may stand for several changes of the same packet.
type Event struct {
	Entry
	Type EventType
	// PortID is the netlink port id of the process that asked for the change (nlmsg_pid); 0 is the kernel itself: a
	// packet or an expiry. It is often, but not always, a process id.
	PortID uint32
	// Time is when the change happened on CLOCK_REALTIME if KernelTime is set (CTA_TIMESTAMP_EVENT, Linux 6.14 and
	// newer), else when it was received. Decode leaves it zero in the second case.
	Time       time.Time
	KernelTime bool
}

// Destroyer is who ended an entry. The zero value means that the event is not a DESTROY.
type Destroyer uint8

// The ways an entry ends, told apart by Event.DestroyedBy.
const (
	NotDestroyed Destroyer = iota
	// Expired: nothing was left of its timeout.
	Expired
	// Caller: a process asked for it over ctnetlink, `conntrack -F` or -D. Event.PortID is the process's port id.
	Caller
	// Reset: a RST ended it although time was left.
	Reset
	// Kernel: the kernel ended it early for another reason, such as a full table (early drop), a new SYN on a closed
	// connection, or an interface that lost the address a masqueraded flow used.
	Kernel
	// Untold: the event does not tell. Before Linux 5.12 a DESTROY carries neither the time left nor the TCP state, and an
	// expiry looks like a RST.
	Untold
)

// String says it in words for people.
func (d Destroyer) String() string {
	switch d {
	case NotDestroyed:
		return "not destroyed"
	case Expired:
		return "expired"
	case Caller:
		return "flushed or deleted by a process"
	case Reset:
		return "ended by an RST"
	case Kernel:
		return "ended early by the kernel"
	case Untold:
		return "ended, and this kernel does not tell by what"
	}
	return "unknown"
}

// DestroyedBy tells who ended the entry, from what the kernel put into the DESTROY event:
//
//	port id not 0                          a caller of ctnetlink (nf_ct_delete with its portid)
//	port id 0, TCP without a state         untold, before Linux 5.12
//	port id 0, CLOSE, never replied        an RST too: it ends such an entry at once, however little time is left
//	port id 0, no CTA_TIMEOUT or 0         expiry (the kernel leaves a timeout of 0 out)
//	port id 0, time left, TCP state CLOSE  an RST (nf_ct_kill_acct in nf_conntrack_tcp_packet)
//	port id 0, time left, anything else    the kernel, for a reason the event does not tell
//
// An entry that SetTimeout brought to 0 is Expired, like one that really waited.
func (e Event) DestroyedBy() Destroyer {
	switch {
	case e.Type != Destroy:
		return NotDestroyed
	case e.PortID != 0:
		return Caller
	case e.Original.Protocol == ProtocolTCP && !e.HasTCP:
		return Untold
	case e.HasTCP && e.TCP == TCPClose && e.HasStatus && !e.Status.Has(StatusSeenReply):
		return Reset // CTA_TIMEOUT counts whole seconds: with less than one left it looks like an expiry
	case !e.HasTimeout || e.Timeout == 0:
		return Expired
	case e.HasTCP && e.TCP == TCPClose:
		return Reset
	}
	return Kernel
}
