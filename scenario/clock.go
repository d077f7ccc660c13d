package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The clocks of a world are what the kernel ends by itself after a time: conntrack entries, keepalive's silence, a client's
// place in an affinity list. time_scale divides them all alike.

// conntrackPrefix is what the names of conntrack's sysctls begin with.
const conntrackPrefix = "net.netfilter.nf_conntrack_"

// conntrackClock is one of conntrack's timeouts.
type conntrackClock struct {
	// name is the sysctl without its prefix, standard what a new namespace has in seconds (nf_conntrack_proto_*.c).
	name     string
	standard int
	// reached tells whether the steps can bring an entry under this timeout for longer than a handshake takes. Where they
	// cannot, nothing rests on it.
	reached func(turns) bool
}

// turns are what a scenario's steps can do to an entry.
type turns struct {
	udp bool
	// any is true if a command of the scenario's own may make entries of any protocol.
	any bool
	// stalls is true if packets may stay unanswered, ends if a side may end its stream, again if a port may be used twice.
	stalls, ends, again bool
}

func (t turns) tcp() bool { return !t.udp || t.any }

// conntrackClocks are those that time_scale divides. A command that makes entries of GRE, SCTP or DCCP meets the kernel's own:
// their sysctls are there only with their modules, and a plan is the same on every host.
var conntrackClocks = []conntrackClock{
	{"tcp_timeout_syn_sent", 120, func(t turns) bool { return t.tcp() && t.stalls }},
	{"tcp_timeout_syn_recv", 60, func(t turns) bool { return t.tcp() && t.stalls }},
	{established, 86400, func(t turns) bool { return t.tcp() }},
	{"tcp_timeout_fin_wait", 120, func(t turns) bool { return t.tcp() && t.ends }},
	{closeWait, 3600, func(t turns) bool { return t.tcp() && t.ends }},
	{"tcp_timeout_last_ack", 30, func(t turns) bool { return t.tcp() && t.ends }},
	{"tcp_timeout_time_wait", 120, func(t turns) bool { return t.tcp() && t.ends }},
	{"tcp_timeout_close", 10, func(t turns) bool { return t.tcp() && t.again }},
	{"tcp_timeout_max_retrans", 300, func(t turns) bool { return t.tcp() && t.stalls }},
	{"tcp_timeout_unacknowledged", 300, func(t turns) bool { return t.tcp() && t.stalls }},
	{"udp_timeout", 30, func(t turns) bool { return t.udp || t.any }},
	{"udp_timeout_stream", 120, func(t turns) bool { return t.udp || t.any }},
	{"icmp_timeout", 30, func(t turns) bool { return t.any }},
	{"generic_timeout", 600, func(t turns) bool { return t.any }},
}

const (
	established = "tcp_timeout_established"
	closeWait   = "tcp_timeout_close_wait"
)

// turns sums the scenario's steps up.
func (s Scenario) turns() turns {
	t := turns{udp: s.World.Service.Protocol == "UDP"}
	for _, set := range s.World.Sysctls {
		for key := range set {
			t.stalls = t.stalls || key == conntrackPrefix+"tcp_loose" || strings.HasPrefix(key, "net.ipv4.") && !inSeconds(key)
		}
	}
	s.Steps.Walk(func(step Step) {
		switch v := step.Verb.(type) {
		case *Connect:
			t.again = t.again || v.More && v.Port != 0
		case *Send, *Receive, *Flush, *DeleteEntry, *DeleteStale, *Age, *Wait, *Repeat:
		case *Shutdown, *Close:
			t.ends, t.stalls = true, true
		case *SetSysctl:
			t.stalls = true
		case *Exec:
			t.any, t.stalls, t.ends, t.again = true, true, true, true
		default: // whatever becomes of a pod, an endpoint or a rule
			t.stalls, t.ends = true, true
		}
	})
	return t
}

// timeout is one of conntrack's on the node that translates, in production time: as its sysctl says, or the world, or the
// kernel.
func (s Scenario) timeout(clock conntrackClock) time.Duration {
	for _, place := range []string{NodeMaster, "nodes"} {
		if v, err := strconv.Atoi(s.World.Sysctls[place][conntrackPrefix+clock.name]); err == nil {
			return time.Duration(v) * time.Second
		}
	}
	switch {
	case clock.name == established && s.World.Conntrack.Established != 0:
		return s.World.Conntrack.Established
	case clock.name == closeWait && s.World.Conntrack.CloseWait != 0:
		return s.World.Conntrack.CloseWait
	}
	return time.Duration(clock.standard) * time.Second
}

// clockNamed is the timeout of that name.
func clockNamed(name string) conntrackClock {
	return conntrackClocks[slices.IndexFunc(conntrackClocks, func(c conntrackClock) bool { return c.name == name })]
}

// shortest is the shortest timeout that an entry can come under in this scenario, in this run's time, with its sysctl.
func (s Scenario) shortest() (time.Duration, string) {
	least, name, turns := time.Duration(-1), "", s.turns()
	consider := func(d time.Duration, key string) {
		if least < 0 || d < least {
			least, name = d, key
		}
	}
	for _, c := range conntrackClocks {
		if c.reached(turns) {
			consider(s.here(s.timeout(c), time.Second), conntrackPrefix+c.name)
		}
	}
	s.Steps.Walk(func(step Step) {
		if set, ok := step.Verb.(*SetSysctl); ok && isConntrackClock(set.Key) {
			if v, err := strconv.Atoi(s.scaledSysctl(set.Key, set.Value)); err == nil {
				consider(time.Duration(v)*time.Second, set.Key)
			}
		}
	})
	return least, name
}

// isConntrackClock tells whether a sysctl is a timeout of conntrack, in seconds.
func isConntrackClock(key string) bool {
	name, ours := strings.CutPrefix(key, conntrackPrefix)
	return ours && strings.Contains(name, "timeout")
}

// duration is one that time_scale divides, and that the kernel has to hold exactly.
type duration struct {
	field, what string
	d, unit     time.Duration
	// step is the one that it is of, nil if it is the world's.
	step *Step
}

// durations are all that have to be exact in this scenario.
func (s Scenario) durations() []duration {
	var out []duration
	add := func(field, what string, d, unit time.Duration) {
		if d > 0 {
			out = append(out, duration{field, what, d, unit, nil})
		}
	}
	turns := s.turns()
	for _, c := range conntrackClocks {
		field := "time_scale"
		switch c.name {
		case established:
			field = "world.conntrack.established"
		case closeWait:
			field = "world.conntrack.close_wait"
		}
		written := c.name == closeWait && s.World.Conntrack.CloseWait != time.Duration(c.standard)*time.Second
		if c.reached(turns) || written {
			add(field, conntrackPrefix+c.name, s.timeout(c), time.Second)
		}
	}
	for place, set := range s.World.Sysctls {
		for key, value := range set {
			if v, err := strconv.Atoi(value); err == nil && inSeconds(key) {
				add("world.sysctls."+place+"."+key, key, time.Duration(v)*time.Second, time.Second)
			}
		}
	}
	for _, side := range []struct {
		field  string
		p      Program
		places []string
	}{{"world.client", s.World.Client, []string{"pods", PodClient}}, {"world.server", s.World.Server, []string{"pods", "servers"}}} {
		add(side.field+".user_timeout", "TCP_USER_TIMEOUT", side.p.UserTimeout, time.Millisecond)
		if k := side.p.Keepalive; k != nil {
			add(side.field+".keepalive.idle", "the silence before a probe", s.keepaliveIdle(side.p, side.places...), time.Second)
			interval := k.Interval
			if interval == 0 {
				interval = s.podSeconds("net.ipv4.tcp_keepalive_intvl", side.places...)
			}
			add(side.field+".keepalive.interval", "the time between probes", interval, time.Second)
		}
	}
	if s.World.Service.SessionAffinity == "ClientIP" {
		add("world.service.sessionAffinity", "a client's affinity", affinity, time.Second)
	}
	slices.SortFunc(out, func(a, b duration) int { return strings.Compare(a.field, b.field) })
	return out
}

// checkScale refuses a time_scale that the kernel's clocks cannot hold: what is rounded stands for another duration.
func (s Scenario) checkScale(p *checks) {
	if s.TimeScale <= 1 {
		return
	}
	all := s.durations()
	s.Steps.Walk(func(step Step) {
		switch v := step.Verb.(type) {
		case *Age:
			all = append(all, duration{"", "an age", v.By, time.Second, &step})
		case *SetSysctl:
			if n, err := strconv.Atoi(v.Value); err == nil && inSeconds(v.Key) {
				all = append(all, duration{"", v.Key, time.Duration(n) * time.Second, time.Second, &step})
			}
		}
	})
	var common int
	for _, d := range all {
		common = gcd(common, int(d.d/d.unit))
	}
	hint := "with time_scale " + strings.Join(scalesNear(common, s.TimeScale), ", ") + " all are exact"
	for _, d := range all {
		if int(d.d/d.unit)%s.TimeScale == 0 && d.d%d.unit == 0 {
			continue
		}
		text := fmt.Sprintf("%s of %s cannot be divided by time_scale %d: %s, and the kernel counts in whole %s",
			d.what, seconds(d.d), s.TimeScale, seconds(d.d/time.Duration(s.TimeScale)), map[time.Duration]string{time.Second: "seconds", time.Millisecond: "milliseconds"}[d.unit])
		if d.step == nil {
			p.add(d.field, hint, "%s", text)
			continue
		}
		one := d.step.place
		one.Text, one.Hint = text, hint
		p.all = append(p.all, one)
	}
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// scalesNear are divisors of n, up to six of them, those nearest to a scale; 1 is always one.
func scalesNear(n, scale int) []string {
	var all []int
	for i := 1; i <= min(n, 100000); i++ {
		if n%i == 0 {
			all = append(all, i)
		}
	}
	at, _ := slices.BinarySearch(all, scale)
	from := max(0, min(at-3, len(all)-6))
	var out []string
	for _, i := range all[from:min(len(all), from+6)] {
		out = append(out, strconv.Itoa(i))
	}
	return out
}
