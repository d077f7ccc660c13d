package evidence

import (
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/peer"
)

// dropOfReset is how soon after a RST was sent the packet that drew it is thrown away; on the same CPU, in the same
// call.
const dropOfReset = 10 * time.Millisecond

// Folded tells whether the i-th kernel event says what one before it has said: a packet that draws a reset is dropped
// next, for the same reason.
func (e *Evidence) Folded(i int) bool {
	drop := e.Kernel[i]
	if drop.Kind != kernel.Drop {
		return false
	}
	for j := i - 1; j >= 0 && drop.Time.Sub(e.Kernel[j].Time) < dropOfReset; j-- {
		if sent := e.Kernel[j]; sent.Kind == kernel.SendReset && sent.At == drop.At && sent.Packet &&
			sent.Src == drop.Src && sent.Dst == drop.Dst {
			return true
		}
	}
	return false
}

// KernelObservation is one tracepoint that was hit, and the functions that led there.
func (e *Evidence) KernelObservation(ev *KernelEvent, connection int) Observation {
	_, kind, _ := strings.Cut(ev.Kind.String(), ":")
	return Observation{T: e.Since(ev.Time), Source: string(FromKernel), At: ev.At, Kind: kind, Text: ev.String(),
		Detail: ev.Stack, Connection: connection, KernelEvent: kernelFacts(ev)}
}

// kernelFacts is an event of the kernel for programs that do not want to read its line.
func kernelFacts(ev *KernelEvent) *KernelFacts {
	out := &KernelFacts{Tracepoint: ev.Kind.String(), State: ev.State, Reason: ev.Reason, OfPacket: ev.Packet, Functions: ev.Functions()}
	if ev.Kind == kernel.ErrorReport {
		out.Errno = peer.Errno(ev.Errno)
	}
	if ev.Src.IsValid() && ev.Dst.IsValid() {
		out.Src, out.Dst = ev.Src.String(), ev.Dst.String()
	}
	for _, function := range ev.Stack {
		name, _, _ := strings.Cut(function, ".") // what the compiler has split
		out.Stack = append(out.Stack, FrameFacts{Function: function, Telling: slices.Contains(out.Functions, name)})
	}
	return out
}
