package scenario

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// cause tells a connection's story, one sentence for each thing that was observed; what was not observed is not told.
func (e *evidence) cause(s *story) []string {
	t := &teller{e: e, s: s}
	if s.Local != "" {
		t.entries()
	}
	t.resets()
	t.sends()
	if s.Peer == HalfOpen {
		t.say("the old backend does not know: the socket on %s is still ESTABLISHED (half-open)", t.openServer())
	}
	return t.out
}

type teller struct {
	e   *evidence
	s   *story
	out []string
}

func (t *teller) say(format string, args ...any) { t.out = append(t.out, fmt.Sprintf(format, args...)) }

// at is "+0.012345 s".
func (t *teller) at(seconds float64) string { return fmt.Sprintf("+%.6f s", seconds) }

// entries follows the entry on the translating node: made, destroyed by whom, made again in the middle of the stream.
func (t *teller) entries() {
	var pods []string
	luck := 0
	for _, ev := range t.s.events {
		if ev.node != translating {
			continue
		}
		when := t.at(t.e.since(ev.Time))
		if pod := t.e.pick(ev); ev.Type == conntrack.New && pod != "" {
			switch {
			case len(pods) == 0:
				t.say("at its SYN the flow %s → %s was translated, once, to %s (%s) by %s: %s",
					ev.Original.Src, ev.Original.Dst, pod, ev.Reply.Src, ev.node, when)
			case pod == pods[0]:
				luck++
			default:
				t.lucky(&luck, pods[0])
				t.say("the next packet was no SYN but found no entry: %s translated it afresh, in mid-stream (%s%s), "+
					"this time to %s (%s): %s", ev.node, stateText(ev), unreplied(ev), pod, ev.Reply.Src, when)
			}
			pods = append(pods, pod)
		}
		switch by := ev.DestroyedBy(); {
		case by == conntrack.NotDestroyed:
		case by == conntrack.Reset:
			t.say("conntrack on %s saw the RST and destroyed the entry: %s", ev.node, when)
		case len(pods) < 2 || by == conntrack.Kernel:
			t.say("the entry on %s was destroyed, %s: %s", ev.node, t.e.destroyedBy(ev), when)
		}
	}
	if len(pods) > 0 {
		t.lucky(&luck, pods[0])
	}
}

// lucky sums up the times the flow went back to where it came from.
func (t *teller) lucky(luck *int, pod string) {
	switch {
	case *luck > 0 && len(t.e.pods) > 1:
		t.say("%s the packet after the break was translated afresh to %s again, by luck, and the flow went on",
			times(*luck, "time", "times"), pod)
	case *luck > 0:
		t.say("%s the packet after the break was translated afresh, in mid-stream, to %s, the only backend, and the flow "+
			"went on", times(*luck, "time", "times"), pod)
	}
	*luck = 0
}

func stateText(ev nodeEvent) string {
	if !ev.HasTCP {
		return "new entry"
	}
	return ev.TCP.String()
}

func unreplied(ev nodeEvent) string {
	if ev.Status.Has(conntrack.StatusSeenReply) {
		return ""
	}
	return " [UNREPLIED]"
}

// resets tells where a RST was sent and as whose it arrived.
func (t *teller) resets() {
	packets := t.s.packets
	isReset := func(p packet.Packet, direction packet.Direction, at func(string) bool) bool {
		return p.Protocol == packet.TCP && p.Flags.Has(packet.RST) && p.Direction == direction && at(p.At)
	}
	pod := func(name string) bool { return name == podClient || slices.Contains(podNames(t.e), name) }
	i := slices.IndexFunc(packets, func(p packet.Packet) bool { return isReset(p, packet.Out, pod) })
	if i < 0 {
		return
	}
	sent := packets[i]
	t.say("%s has no such connection and answered RST, %s > %s: %s", sent.At, sent.Src, sent.Dst, t.at(t.e.since(sent.Time)))
	j := slices.IndexFunc(packets, func(p packet.Packet) bool {
		return p.At != sent.At && isReset(p, packet.In, pod)
	})
	if j < 0 {
		return
	}
	got := packets[j]
	t.say("it reached %s as %s > %s (%s): %s", got.At, got.Src, got.Dst, t.role(got.Src), t.at(t.e.since(got.Time)))
}

// role tells whose address a packet carries.
func (t *teller) role(src netip.AddrPort) string {
	if src == t.e.service {
		return "as if the service had sent it"
	}
	return "with the pod's own address, un-translated"
}

// sends tells which calls failed, and that the one that drew the RST had not.
func (t *teller) sends() {
	var last *probe.Report
	for i, r := range t.s.reports {
		if r.Err == nil {
			if r.Call == probe.Send {
				last = &t.s.reports[i]
			}
			continue
		}
		when := t.at(t.e.since(r.Time))
		if r.Call == probe.Send && last != nil && last.Side == r.Side {
			t.say("the %s's send before had returned success (%s); this one got %s: %s",
				r.Side, t.at(t.e.since(last.Time)), errnoText(r.Err), when)
		} else {
			t.say("the %s's %s got %s: %s", r.Side, r.Call, errnoText(r.Err), when)
		}
		return
	}
}

func (t *teller) openServer() string {
	for _, f := range t.s.finals {
		if f.side == probe.Server && f.State == "ESTABLISHED" {
			return f.at
		}
	}
	return ""
}
