package scenario

import (
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/kernel"
)

// dropOfReset is how soon after a RST was sent the packet that drew it is thrown away; on the same CPU, in the same
// call.
const dropOfReset = 10 * time.Millisecond

// folded tells whether the i-th kernel event says what one before it has said: a packet that draws a reset is dropped
// next, for the same reason.
func (e *evidence) folded(i int) bool {
	drop := e.kernel[i]
	if drop.Kind != kernel.Drop {
		return false
	}
	for j := i - 1; j >= 0 && drop.Time.Sub(e.kernel[j].Time) < dropOfReset; j-- {
		if sent := e.kernel[j]; sent.Kind == kernel.SendReset && sent.at == drop.at && sent.Packet &&
			sent.Src == drop.Src && sent.Dst == drop.Dst {
			return true
		}
	}
	return false
}

func (ix index) kernel(ev kernelEvent) int { return ix.of(ev.Time, ev.Src, ev.Dst) }

// kernelObservation is one tracepoint that was hit, and the functions that led there.
func (e *evidence) kernelObservation(ev kernelEvent, connection int) Observation {
	_, kind, _ := strings.Cut(ev.Kind.String(), ":")
	return Observation{T: e.since(ev.Time), Source: string(FromKernel), At: ev.at, Kind: kind, Text: ev.String(),
		Detail: ev.Stack, Connection: connection}
}

// kernelWords is an event of the kernel in words.
func kernelWords(ev kernelEvent) string {
	words := []string{"no socket"}
	if ev.State != "" {
		words[0] = "socket in " + ev.State
	} else if ev.Kind == kernel.Drop {
		words = nil // a packet under way has none
	}
	if ev.Reason != "" {
		words = append(words, "reason "+ev.Reason)
	}
	if story := ev.Story(); len(story) > 0 {
		words = append(words, strings.Join(story, " → "))
	}
	return strings.Join(words, ", ")
}
