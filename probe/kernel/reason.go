package kernel

import "fmt"

// Prefixes of the kernel's enums, include/net/rstreason.h and include/net/dropreason-core.h.
const (
	resetReasonPrefix = "SK_RST_REASON_"
	dropReasonPrefix  = "SKB_DROP_REASON_"
)

// silentReasons are the drop reasons that are not reported, as they tell nothing of a connection: a packet that has done
// its work, or a copy of one.
var silentReasons = []string{
	"SKB_NOT_DROPPED_YET",
	"SKB_CONSUMED",                      // not a drop
	"SKB_DROP_REASON_NOT_SPECIFIED",     // nobody said why: also freed where nothing went wrong
	"SKB_DROP_REASON_OTHERHOST",         // a bridge flooded a frame: the other ports' pods are not meant
	"SKB_DROP_REASON_PACKET_SOCK_ERROR", // a capture's copy did not fit its buffer
	"SKB_DROP_REASON_QUEUE_PURGE",       // what lay in a queue, a capture's for instance, when it was closed
	"SKB_DROP_REASON_TCP_OFOMERGE",      // its data was merged into another packet's
	"SKB_DROP_REASON_TCP_RESET",         // a RST that was accepted: ReceiveReset tells
}

// silentBits gives the bit set of the silent reasons for a kernel whose enum skb_drop_reason has these values, as
// silent_reasons in bpf/watch.c. Reasons from 256 on, those of other subsystems, are never silent.
func silentBits(values map[string]uint64) (bits [4]uint64) {
	for _, name := range silentReasons {
		if v, ok := values[name]; ok && v < 256 {
			bits[v/64] |= 1 << (v % 64)
		}
	}
	return bits
}

// reasonName looks a reason up among the names of its enum.
func reasonName(names map[uint32]string, reason uint32) string {
	if name, ok := names[reason]; ok {
		return name
	}
	return fmt.Sprintf("%#x", reason)
}
