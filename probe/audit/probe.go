package audit

import (
	"time"

	"github.com/ctsim/ctsim/probe/socket"
)

// Settings are a socket's own keepalive settings, which its timer alone does not tell.
type Settings struct {
	// On is SO_KEEPALIVE.
	On bool
	// Idle is how long nothing may have come in before the first probe: TCP_KEEPIDLE, or the namespace's
	// tcp_keepalive_time if Own is false.
	Idle time.Duration
	// Own tells that the application set TCP_KEEPIDLE.
	Own bool
}

// firstProbe is when a socket's next keepalive probe is sent if nothing else is sent or received from now on. The zero
// value is: not known.
type firstProbe struct {
	known, never bool
	// earliest and latest are between when it is sent.
	earliest, latest time.Duration
	// every and everyMost are between what the time from one probe to the next is, if they are answered.
	every, everyMost time.Duration
	// unanswered: what was sent last, data or a probe, was not acknowledged in the time that it takes.
	unanswered bool
}

// longestIdle is the most that TCP_KEEPIDLE can be set to (MAX_TCP_KEEPIDLE).
const longestIdle = 32767 * time.Second

// late is by how much a timer of the kernel that was set to d may run out too late: the timer wheel rounds up, by 1 part
// in 8 to 63, and a jiffy (kernel/time/timer.c, "Granularity"). 7200 s may be 7462 s.
func late(d time.Duration) time.Duration { return d*8/63 + 10*time.Millisecond }

// probeOf tells it from the timer, and if they are known the settings. System is the namespace's tcp_keepalive_time, 0 if
// not known.
//
// The timer alone gives only the earliest time. The kernel does not set it anew with each packet: when it runs out, and
// something came in meanwhile, it is set to what is left of the idle time (tcp_keepalive_timer). A socket that was
// active until now may therefore show 10 s and yet be silent for 7200 s.
//
// TCP_USER_TIMEOUT moves no first probe: it only ends a connection whose probes, or data, were not answered for so long.
func probeOf(s socket.Socket, settings *Settings, system time.Duration) firstProbe {
	p := probeTimes(s, settings, system)
	p.unanswered = s.Timer.Retransmits > 0 || s.Timer.Probes > 0
	return p
}

func probeTimes(s socket.Socket, settings *Settings, system time.Duration) firstProbe {
	switch s.Timer.Kind {
	case socket.Off:
		if settings == nil || !settings.On {
			return firstProbe{known: true, never: true}
		}
		return firstProbe{} // switched on between two looks
	case socket.Keepalive:
		p := firstProbe{known: true, earliest: s.Timer.Expires, every: s.Timer.Expires}
		most, exact := max(longestIdle, system, s.Timer.Expires), settings != nil && settings.On
		if exact {
			most, p.every = settings.Idle, settings.Idle
		}
		p.latest = max(s.Timer.Expires, most-sinceReceived(s))
		if exact {
			p.earliest = p.latest
		}
		if s.Timer.Probes > 0 { // under way already
			p.earliest, p.latest = s.Timer.Expires, s.Timer.Expires
		}
		p.latest, p.everyMost = p.latest+late(most), most+late(most)
		return p
	}
	// The timer of a retransmission or a closed window hides the keepalive timer.
	switch {
	case settings == nil:
		return firstProbe{}
	case !settings.On:
		return firstProbe{known: true, never: true}
	}
	most := settings.Idle + late(settings.Idle)
	return firstProbe{known: true, earliest: settings.Idle, latest: most, every: settings.Idle, everyMost: most}
}

// sinceReceived is how long ago anything came in, data or acknowledgement (keepalive_time_elapsed in the kernel).
func sinceReceived(s socket.Socket) time.Duration {
	if s.Info == nil {
		return 0
	}
	return min(s.Info.LastDataReceived, s.Info.LastAckReceived)
}

// idle is how long ago data was last sent or received; false if the kernel did not tell.
func idle(s socket.Socket) (time.Duration, bool) {
	if s.Info == nil {
		return 0, false
	}
	return min(s.Info.LastDataReceived, s.Info.LastDataSent), true
}

// silent is how long ago any packet of the connection was seen on this side, as far as the kernel tells.
func silent(s socket.Socket) (time.Duration, bool) {
	d, ok := idle(s)
	return min(d, sinceReceived(s)), ok
}
