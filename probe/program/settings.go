package program

import (
	"fmt"
	"strings"
	"time"
)

// Settings are what a program has set on a socket, as the kernel has them now.
type Settings struct {
	// Process is the name of the process that holds it, `ps -o comm`.
	Process string
	PID     int
	// KeepAlive is SO_KEEPALIVE. Idle, Interval and Count are TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT: what would
	// hold if it were set, the pod's sysctls where the program has not chosen.
	KeepAlive      bool
	Idle, Interval time.Duration
	Count          int
	// UserTimeout is TCP_USER_TIMEOUT; 0 is the kernel's default.
	UserTimeout time.Duration
}

// String is the settings in words: "keepalive on: first probe after 7200 s of silence, then every 75 s, given up after 9".
func (s Settings) String() string {
	var b strings.Builder
	if !s.KeepAlive {
		b.WriteString("keepalive off: never a probe")
	} else {
		fmt.Fprintf(&b, "keepalive on: first probe after %s of silence, then every %s, given up after %d", seconds(s.Idle), seconds(s.Interval), s.Count)
	}
	if s.UserTimeout > 0 {
		fmt.Fprintf(&b, "; TCP_USER_TIMEOUT %s", seconds(s.UserTimeout))
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
