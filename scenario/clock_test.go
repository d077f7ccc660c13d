package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// scaled is a scenario of one world and one step list; the error is Problems.
func scaled(scale int, world, steps string) (Scenario, error) {
	lib, err := Parse("f", fmt.Appendf(nil, "scenarios:\n  - name: a\n    title: t\n    time_scale: %d\n    world: %s\n    steps: %s\n    expect: {outcome: survived}\n", scale, world, steps))
	if err != nil {
		return Scenario{}, err
	}
	return lib.Scenarios[0], nil
}

// TestScaleIsExactOrRefused: with every scale, what is not refused is held exactly: times the scale, what the plan says is
// what the file says.
func TestScaleIsExactOrRefused(t *testing.T) {
	accepted := 0
	for scale := 1; scale <= 400; scale++ {
		s, err := scaled(scale, "{conntrack: {established: 350s, close_wait: 700s}, client: {keepalive: {idle: 350s, interval: 70s}, user_timeout: 3500ms}}", "[connect, send, {age: 105s}, send]")
		if err != nil {
			continue
		}
		accepted++
		p, by := s.Settle(), time.Duration(scale)
		for what, got := range map[string][2]time.Duration{
			"established": {p.Conntrack.Established, 350 * time.Second}, "close_wait": {p.Conntrack.CloseWait, 700 * time.Second},
			"idle": {p.Client.Socket.KeepIdle, 350 * time.Second}, "interval": {p.Client.Socket.KeepInterval, 70 * time.Second},
			"user_timeout": {p.Client.Socket.UserTimeout, 3500 * time.Millisecond}, "age": {p.Steps[2].Verb.(*Age).By, 105 * time.Second},
		} {
			if got[0]*by != got[1] || got[0]%time.Millisecond != 0 {
				t.Errorf("time_scale %d: %s is %s for %s", scale, what, got[0], got[1])
			}
		}
	}
	if accepted != 4 { // 1, 5, 7, 35
		t.Errorf("%d scales are accepted", accepted)
	}
}

// TestScalesThatWouldDo: each scale that a refusal names is accepted, and there is one.
func TestScalesThatWouldDo(t *testing.T) {
	world, steps := "{conntrack: {established: 350s}}", "[connect, send, {wait: 370s}, send]"
	_, err := scaled(100, world, steps)
	if err == nil {
		t.Fatal("350 s / 100 is accepted")
	}
	_, hint, _ := strings.Cut(err.Error(), "(with time_scale ")
	hint, _, _ = strings.Cut(hint, " all")
	names := strings.Split(hint, ", ")
	if len(names) < 2 {
		t.Fatal(err)
	}
	for _, name := range names {
		var scale int
		if _, err := fmt.Sscan(name, &scale); err != nil {
			t.Fatal(err)
		}
		if _, err := scaled(scale, world, steps); err != nil {
			t.Errorf("%d: %v", scale, err)
		}
	}
}

// TestEveryTimeoutIsScaled: with a time_scale every timeout of conntrack is in the plan, divided; without one only what
// kube-proxy sets is.
func TestEveryTimeoutIsScaled(t *testing.T) {
	s, err := scaled(10, "{conntrack: {established: 100s}, sysctls: {nodes: {net.netfilter.nf_conntrack_udp_timeout: \"50\"}}}", "[connect, send, {shutdown: client}]")
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for _, set := range s.Settle().Nodes[0].Sysctls {
		last[set.Key] = set.Value
	}
	for name, want := range map[string]string{"tcp_timeout_established": "10", "tcp_timeout_close_wait": "360", "tcp_timeout_close": "1",
		"tcp_timeout_time_wait": "12", "tcp_timeout_max_retrans": "30", "tcp_timeout_unacknowledged": "30", "tcp_timeout_last_ack": "3",
		"tcp_timeout_fin_wait": "12", "tcp_timeout_syn_sent": "12", "tcp_timeout_syn_recv": "6", "udp_timeout": "5",
		"udp_timeout_stream": "12", "generic_timeout": "60", "icmp_timeout": "3"} {
		if got := last[conntrackPrefix+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s.TimeScale = 1; len(s.conntrackSysctls()) != 3 {
		t.Errorf("without a scale: %v", s.conntrackSysctls())
	}
}

// TestAffinityIsScaled: the rules count a client's affinity in this run's seconds.
func TestAffinityIsScaled(t *testing.T) {
	s, err := scaled(100, "{conntrack: {established: 10000s}, service: {sessionAffinity: ClientIP}}", "[connect, send]")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Settle().Service.Affinity; got != 108*time.Second {
		t.Errorf("%s", got)
	}
}

// TestCommandsReachEveryClock: what only a command can bring an entry under is exact too where there is one.
func TestCommandsReachEveryClock(t *testing.T) {
	const world = "{conntrack: {established: 7000s, close_wait: 7000s}, sysctls: {nodes: {%s}}}"
	var others []string // all but ICMP's can be divided by 7
	for _, c := range conntrackClocks {
		if c.name != established && c.name != closeWait && c.name != "icmp_timeout" {
			others = append(others, conntrackPrefix+c.name+`: "70"`)
		}
	}
	const ping = "{exec: {in: client, command: [ping, -c1, 10.0.0.1]}}"
	all := fmt.Sprintf(world, strings.Join(others, ", "))
	if _, err := scaled(7, all, "[connect, send]"); err != nil {
		t.Error("nobody pings:", err)
	}
	if _, err := scaled(7, all, "[connect, "+ping+", send]"); err == nil || !strings.Contains(err.Error(), "icmp_timeout of 30 s cannot be divided") {
		t.Error("an ICMP entry's timeout is rounded:", err)
	}
	if _, err := scaled(7, "{conntrack: {established: 7000s, close_wait: 7000s}}", "[connect, {repeat: {times: 2, steps: ["+ping+"]}}]"); err == nil || !strings.Contains(err.Error(), "udp_timeout of 30 s") {
		t.Error("a UDP entry's timeout is rounded:", err)
	}
}

// TestEntryGone: waiting for an entry's end is refused only where no timeout that it can come under is short enough.
func TestEntryGone(t *testing.T) {
	const wait = "{wait: {until: entry-gone, at_most: 60s}}"
	for _, c := range []struct {
		world, steps string
		refused      string
	}{
		{"{service: {protocol: UDP}}", "[connect, send, " + wait + "]", ""},
		{"{service: {protocol: UDP}, sysctls: {nodes: {net.netfilter.nf_conntrack_udp_timeout: \"100\"}}}", "[connect, send, " + wait + "]", "the entry lives 100 s (net.netfilter.nf_conntrack_udp_timeout)"},
		{"{}", "[connect, send, " + wait + "]", "the entry lives 86400 s (net.netfilter.nf_conntrack_tcp_timeout_established)"},
		{"{sysctls: {nodes: {net.netfilter.nf_conntrack_tcp_timeout_established: \"2\"}}}", "[connect, send, " + wait + "]", ""},
		{"{sysctls: {master: {net.netfilter.nf_conntrack_tcp_timeout_established: \"2\"}}}", "[connect, send, " + wait + "]", ""},
		{"{sysctls: {node1: {net.netfilter.nf_conntrack_tcp_timeout_established: \"2\"}}}", "[connect, send, " + wait + "]", "the entry lives 86400 s"},
		{"{conntrack: {established: 2s}, sysctls: {nodes: {net.netfilter.nf_conntrack_tcp_timeout_established: \"100\"}}}", "[connect, send, " + wait + "]", "the entry lives 100 s"},
		{"{}", "[connect, send, {close: client}, " + wait + "]", ""},
		{"{}", "[connect, {sysctl: {in: master, key: net.netfilter.nf_conntrack_tcp_timeout_established, value: \"3\"}}, send, " + wait + "]", ""},
		{"{sysctls: {nodes: {net.netfilter.nf_conntrack_tcp_loose: \"0\", net.netfilter.nf_conntrack_tcp_timeout_max_retrans: \"5\"}}}", "[connect, send, flush, send, " + wait + "]", ""},
	} {
		_, err := scaled(1, c.world, c.steps)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s, %s: %v; want %q", c.world, c.steps, err, c.refused)
		}
	}
	if _, is := any(&Scenario{}).(strictyaml.Custom); !is {
		t.Error("a scenario's defaults are not set") // all of the above rests on them
	}
}
