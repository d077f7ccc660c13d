package rulepath

import "fmt"

// Tracking is what connection tracking knew of a packet. Kernels before 6.16 do not tell.
type Tracking struct {
	// State is NEW, ESTABLISHED, RELATED or UNTRACKED, as in `-m conntrack --ctstate`. The kernel says nothing of a
	// packet that is INVALID, or that conntrack has not seen; then State is empty.
	State string
	// ID is the entry's number: `conntrack -L -o id` and CTA_ID, in host byte order. 0 without an entry. The kernel makes it
	// from the entry's place in memory and its addresses: an entry lost and made again may well get the same.
	ID uint32
	// Reply says that the packet goes against the direction of the connection's first.
	Reply bool
	// Status is the entry's IPS_* bits (IPS_DST_NAT, IPS_ASSURED, …).
	Status uint32
}

// String is "ESTABLISHED reply id=4711".
func (t Tracking) String() string {
	s := t.State
	if t.Reply {
		s += " reply"
	}
	if t.ID != 0 {
		s += fmt.Sprintf(" id=%d", t.ID)
	}
	return s
}

// trackingState names NFTA_TRACE_CT_STATE, one bit of NF_CT_STATE_*.
func trackingState(bits uint32) string {
	switch bits {
	case ctStateEstablished:
		return "ESTABLISHED"
	case ctStateRelated:
		return "RELATED"
	case ctStateNew:
		return "NEW"
	case ctStateUntracked:
		return "UNTRACKED"
	}
	return fmt.Sprintf("state %#x", bits)
}
