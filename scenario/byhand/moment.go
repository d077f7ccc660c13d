package byhand

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/scenario"
)

// Moment is what a step's commands depend on: the run as it is when the step is about to be taken.
type Moment struct {
	Plan *scenario.Plan
	// Endpoints are the service's. Serving is the pod that the first connection leads to, empty if that is not known yet.
	Endpoints []netip.AddrPort
	Serving   string
	// Ports are the client's source ports by the number of their connection; Connections are the numbers of those that the
	// step is for, in order.
	Ports       map[int]uint16
	Connections []int
	// Entries are the conntrack tables by node, Pods the server pods that are alive.
	Entries map[string][]Tracked
	Pods    []string
}

// Tracked is a conntrack entry: the original tuple's ends, and the time it has left.
type Tracked struct {
	Src, Dst netip.AddrPort
	Left     time.Duration
}

func (m Moment) protocol() string { return m.Plan.Service.Protocol.String() }

// Timers are what goes on in a run while it stands still, in words: what depends on the time that passes at a prompt.
func Timers(p *scenario.Plan) []string {
	var out []string
	if d := p.Conntrack.Established; d <= 10*time.Minute {
		out = append(out, "established entries expire after "+d.String()+" of silence")
	}
	for _, side := range []struct {
		name string
		o    scenario.Socket
	}{{"client", p.Client.Socket}, {"server", p.Servers[0].Socket}} {
		if side.o.KeepAlive && side.o.KeepIdle > 0 {
			out = append(out, "the "+side.name+"'s keepalive probes after "+side.o.KeepIdle.String()+" of silence")
		} else if side.o.KeepAlive {
			out = append(out, "the "+side.name+"'s keepalive probes when its sysctls say")
		}
		if side.o.UserTimeout > 0 {
			out = append(out, "the "+side.name+" gives up unacknowledged data after "+side.o.UserTimeout.String())
		}
	}
	p.Steps.Walk(func(step scenario.Step) {
		if a, ok := step.Verb.(*scenario.Age); ok {
			out = append(out, "the time you take comes on top of the "+a.By.String()+" that are made up")
		}
	})
	return out
}

// flags are how `ctsim client` or `server` sets its socket as an end of the plan does.
func flags(o scenario.Socket) []string {
	var out []string
	if o.KeepAlive {
		out = append(out, "--keepalive")
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"keepalive-idle", o.KeepIdle}, {"keepalive-interval", o.KeepInterval}} {
		if f.d > 0 {
			out = append(out, "--"+f.name, f.d.String())
		}
	}
	if o.KeepCount > 0 {
		out = append(out, "--keepalive-count", fmt.Sprint(o.KeepCount))
	}
	if o.UserTimeout > 0 {
		out = append(out, "--user-timeout", o.UserTimeout.String())
	}
	return out
}
