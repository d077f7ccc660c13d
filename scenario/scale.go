package scenario

import (
	"fmt"
	"strconv"
	"time"
)

// here is a production duration as this run uses it: divided by time_scale. It is exact where anything rests on it, which
// checkScale has seen to; else it is not below the unit in which the kernel counts.
func (s Scenario) here(d, unit time.Duration) time.Duration {
	if s.TimeScale <= 1 || d == 0 {
		return d
	}
	d /= time.Duration(s.TimeScale)
	return max(unit, d.Round(unit))
}

// both is a duration in words, with what it is in this run if that differs.
func (s Scenario) both(d, unit time.Duration) string {
	text := strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	if h := s.here(d, unit); h != d {
		text += fmt.Sprintf(" (%s s here)", strconv.FormatFloat(h.Seconds(), 'f', -1, 64))
	}
	return text
}

// keepaliveDefaults are the kernel's own timers (net.ipv4.tcp_keepalive_time, _intvl; include/net/tcp.h).
var keepaliveDefaults = map[string]time.Duration{
	"net.ipv4.tcp_keepalive_time":  7200 * time.Second,
	"net.ipv4.tcp_keepalive_intvl": 75 * time.Second,
}

// inSeconds is true for the sysctls that hold a time in seconds and so follow time_scale.
func inSeconds(key string) bool {
	return keepaliveDefaults[key] != 0 || isConntrackClock(key) || key == "net.ipv4.tcp_fin_timeout"
}

// scaledSysctl is a sysctl's value as this run writes it.
func (s Scenario) scaledSysctl(key, value string) string {
	seconds, err := strconv.Atoi(value)
	if err != nil || !inSeconds(key) {
		return value
	}
	return strconv.Itoa(int(s.here(time.Duration(seconds)*time.Second, time.Second) / time.Second))
}

// keepaliveIdle is the silence after which a program's first probe goes out, in production time; 0 if it sends none.
func (s Scenario) keepaliveIdle(p Program, places ...string) time.Duration {
	if p.Keepalive == nil {
		return 0
	}
	if p.Keepalive.Idle > 0 {
		return p.Keepalive.Idle
	}
	return s.podSeconds("net.ipv4.tcp_keepalive_time", places...)
}

// podSeconds is one of the kernel's keepalive timers in places, of which the last that sets it decides.
func (s Scenario) podSeconds(key string, places ...string) time.Duration {
	d := keepaliveDefaults[key]
	for _, place := range places {
		if v, err := strconv.Atoi(s.World.Sysctls[place][key]); err == nil {
			d = time.Duration(v) * time.Second
		}
	}
	return d
}
