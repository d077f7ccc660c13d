package account

import (
	"slices"

	"github.com/ctsim/ctsim/evidence"
)

// Programs are whose connections an account is of: what is known of them differs.
type Programs string

// The programs.
const (
	OwnTCP   Programs = "ctsim's own, TCP"
	OwnUDP   Programs = "ctsim's own, UDP"
	External Programs = "external"
)

// needs are the sources without which an outcome cannot be told; what stands in no list needs none but what programs and
// sockets say, which is always known. Without packets nothing at all is known of an external program's connections.
var needs = map[Programs]map[evidence.Source][]Outcome{
	OwnTCP: {
		evidence.FromConntrack: {Survived}, // a break that was not seen may have been the last
		evidence.FromPackets:   {Closed},   // the acknowledgement of the last FIN is a packet
	},
	OwnUDP: {
		evidence.FromConntrack: {Survived},
		evidence.FromPackets:   {Survived}, // an answer that came is a packet
	},
	External: {
		evidence.FromConntrack: {Survived},
		evidence.FromPackets:   {Survived, Closed, Reset, Hang, Refused, Timeout, Reconnected},
	},
}

// Possible are the outcomes that connections of these programs can have, beside Unknown.
func Possible(p Programs) []Outcome {
	switch p {
	case OwnUDP:
		return []Outcome{Survived, Hang, Refused, Timeout, WrongBackend}
	case External:
		return []Outcome{Survived, Closed, Reset, Hang, Refused, Timeout, Reconnected}
	}
	return []Outcome{Survived, Closed, Reset, Hang, Refused, Timeout, WrongBackend}
}

// PossibleWithout are the outcomes that can still be told when a source is not watched. Any other is Unknown then.
func PossibleWithout(s evidence.Source, p Programs) []Outcome {
	return slices.DeleteFunc(Possible(p), func(o Outcome) bool { return slices.Contains(needs[p][s], o) })
}
