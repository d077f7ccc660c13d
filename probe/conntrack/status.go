package conntrack

import (
	"fmt"
	"strings"
)

// Status is the set of IPS_* bits of an entry (CTA_STATUS, enum ip_conntrack_status).
type Status uint32

// The bits of a Status, by their uapi names without IPS_.
const (
	StatusExpected Status = 1 << iota
	StatusSeenReply
	StatusAssured
	StatusConfirmed
	StatusSrcNAT
	StatusDstNAT
	StatusSeqAdjust
	StatusSrcNATDone
	StatusDstNATDone
	StatusDying
	StatusFixedTimeout
	StatusTemplate
	StatusUntracked
	StatusHelper
	StatusOffload
	StatusHWOffload
)

var statusNames = [...]string{
	"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE", "DST_NAT_DONE",
	"DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD",
}

// Has tells whether all the given bits are set.
func (s Status) Has(bits Status) bool { return s&bits == bits }

// String names the bits, `SEEN_REPLY|ASSURED|CONFIRMED`; a bit without a name is shown as a number, no bit as "NONE".
func (s Status) String() string {
	if s == 0 {
		return "NONE"
	}
	var words []string
	for i, name := range statusNames {
		if bit := Status(1) << i; s.Has(bit) {
			words = append(words, name)
			s &^= bit
		}
	}
	if s != 0 {
		words = append(words, fmt.Sprintf("%#x", uint32(s)))
	}
	return strings.Join(words, "|")
}

// TCPState is what connection tracking believes of a TCP connection (CTA_PROTOINFO_TCP_STATE, enum tcp_conntrack). It
// is not the state of either socket.
type TCPState uint8

// The values of TCPState, by their uapi names without TCP_CONNTRACK_. NONE means that the message had no opinion only
// if Entry.HasTCP is false.
const (
	TCPNone TCPState = iota
	TCPSynSent
	TCPSynRecv
	TCPEstablished
	TCPFinWait
	TCPCloseWait
	TCPLastAck
	TCPTimeWait
	TCPClose
	TCPSynSent2
)

var tcpStateNames = [...]string{
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
	"SYN_SENT2",
}

// String is the word the conntrack command prints; NONE for a value it does not know.
func (s TCPState) String() string {
	if int(s) < len(tcpStateNames) {
		return tcpStateNames[s]
	}
	return tcpStateNames[TCPNone]
}
