package socket

import (
	"fmt"
	"strings"
	"time"
)

// TimerKind is which of a socket's timers runs next, with the kernel's number (idiag_timer).
type TimerKind uint8

// The timers.
const (
	// Off: nothing is waited for. An idle connection without keepalive stays like this for ever.
	Off TimerKind = iota
	// Retransmit: something sent is not yet acknowledged. The tail loss probe counts as one.
	Retransmit
	// Keepalive: the next keepalive probe; in a listening socket or a closing one the kernel's own use of that timer.
	Keepalive
	// TimeWaiting: until the pair of addresses may be used again.
	TimeWaiting
	// Probe: the peer's window is closed and will be asked after.
	Probe
)

// String is the name that netstat prints: "on" for Retransmit.
func (k TimerKind) String() string {
	switch k {
	case Off:
		return "off"
	case Retransmit:
		return "on"
	case Keepalive:
		return "keepalive"
	case TimeWaiting:
		return "timewait"
	case Probe:
		return "probe"
	}
	return fmt.Sprintf("unkn-%d", uint8(k))
}

// Timer is a socket's next timer. The zero value is off.
type Timer struct {
	Kind TimerKind
	// Expires is the time left, in the kernel's precision of one millisecond or one jiffy; 0 if Kind is Off.
	Expires time.Duration
	// Retransmits is how often in a row the oldest unacknowledged data was sent again (icsk_retransmits), for a
	// connection that is being accepted the SYN+ACK (num_retrans).
	Retransmits int
	// Probes is how many keepalive or window probes are unanswered (icsk_probes_out).
	Probes int
}

// Netstat is the timer as `netstat --timers` prints it: seconds left, Retransmits, Probes.
//
//	off (0.00/0/0)
//	keepalive (34.34/0/0)
//	on (12.83/6/0)
func (t Timer) Netstat() string {
	expires := t.Expires
	if t.Kind == Off {
		expires = 0
	}
	hundredths := max(expires, 0) / (10 * time.Millisecond) // USER_HZ, rounded down as in /proc/net/tcp
	return fmt.Sprintf("%s (%d.%02d/%d/%d)", t.Kind, hundredths/100, hundredths%100, t.Retransmits, t.Probes)
}

// SS is the timer as `ss -o` prints it, "timer:(keepalive,34sec,0)"; empty if it is off. The last number is Probes for
// a keepalive or probe timer and Retransmits for the retransmission timer.
func (t Timer) SS() string {
	name, count := t.Kind.String(), 0
	switch t.Kind {
	case Off:
		return ""
	case Retransmit:
		count = t.Retransmits
	case Keepalive:
		count = t.Probes
	case Probe:
		name, count = "persist", t.Probes
	case TimeWaiting:
	default:
		name = "unknown"
	}
	return fmt.Sprintf("timer:(%s,%s,%d)", name, ssDuration(t.Expires), count)
}

// ssDuration is ss's way with times: "1min59sec", "39sec", "4.832ms" for 4.832 s, "768ms"; nothing for 0.
func ssDuration(d time.Duration) string {
	ms := max(d.Milliseconds(), 0)
	minutes, seconds, ms := ms/60_000, ms/1000%60, ms%1000
	var b strings.Builder
	if minutes > 0 {
		fmt.Fprintf(&b, "%dmin", minutes)
		ms = 0
		if minutes > 9 {
			seconds = 0
		}
	}
	if seconds > 9 {
		ms = 0
	}
	switch {
	case seconds > 0 && ms > 0:
		fmt.Fprintf(&b, "%d.", seconds)
	case seconds > 0:
		fmt.Fprintf(&b, "%dsec", seconds)
	}
	if ms > 0 {
		fmt.Fprintf(&b, "%03dms", ms)
	}
	return b.String()
}
