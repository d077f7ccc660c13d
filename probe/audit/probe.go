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
	known, never     bool
	earliest, latest time.Duration
}

// probeOf tells it from the timer, and if they are known the settings. System is the namespace's tcp_keepalive_time, 0 if
// not known.
//
// The timer alone gives only the earliest time. The kernel does not set it anew with each packet: when it runs out, and
// something came in meanwhile, it is set to what is left of the idle time (tcp_keepalive_timer). A socket that was
// active until now may therefore show 10 s and yet be silent for 7200 s.
func probeOf(s socket.Socket, settings *Settings, system time.Duration) firstProbe {
	switch s.Timer.Kind {
	case socket.Off:
		if settings == nil || !settings.On {
			return firstProbe{known: true, never: true}
		}
		return firstProbe{} // switched on between two looks
	case socket.Keepalive:
		p := firstProbe{known: true, earliest: s.Timer.Expires, latest: s.Timer.Expires}
		switch idle := sinceReceived(s); {
		case s.Timer.Probes > 0: // under way already
		case settings != nil && settings.On:
			p.latest = max(p.latest, settings.Idle-idle)
			p.earliest = p.latest
		default:
			p.latest = max(p.latest, system-idle)
		}
		return p
	}
	// The timer of a retransmission or a closed window hides the keepalive timer.
	switch {
	case settings == nil:
		return firstProbe{}
	case !settings.On:
		return firstProbe{known: true, never: true}
	}
	return firstProbe{known: true, earliest: settings.Idle, latest: settings.Idle}
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
