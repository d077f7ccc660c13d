package account

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// repeatsOfRetrans is how many segments conntrack sees again before it shortens an entry's life
// (nf_conntrack_tcp_max_retrans, its default).
const repeatsOfRetrans = 3

// early tells why an entry expired before its time: what is sent again without an acknowledgement shortens it to
// nf_conntrack_tcp_timeout_max_retrans. Empty where the entry had its time, or where this does not explain it.
func (t *teller) early(gone *evidence.EntryEvent) (text string, known []any) {
	if gone.DestroyedBy() != conntrack.Expired || t.blind(evidence.FromPackets) {
		return "", nil
	}
	var last *evidence.EntryEvent
	for _, ev := range t.a.Events {
		if ev.Node == gone.Node && ev.Original == gone.Original && ev.HasTimeout && ev.Type != conntrack.Destroy && ev.Time.Before(gone.Time) {
			last = ev
		}
	}
	if last == nil || !gone.Time.Before(last.Time.Add(last.Timeout-time.Second)) {
		return "", nil
	}
	var again []*packet.Packet
	for _, p := range t.a.Packets {
		end := p.At == t.e.ClientAt || t.e.IsPod(p.At)
		switch {
		case !end || p.Time.After(gone.Time):
		case p.Direction == packet.In:
			again = nil // an answer begins the count anew
		case p.Direction == packet.Out && p.Relative.Repeat != packet.Fresh:
			again = append(again, p)
		case p.Direction == packet.Out:
			again = nil
		}
	}
	if len(again) < repeatsOfRetrans {
		return "", nil
	}
	for _, p := range again {
		known = append(known, p)
	}
	after := gone.Time.Sub(again[len(again)-1].Time)
	return fmt.Sprintf(", %.1f s after the last packet and not after the %.0f s that it had: %d packets were sent again and not acknowledged, and from "+
			"the third on an entry lives for nf_conntrack_tcp_timeout_max_retrans only", after.Seconds(), last.Timeout.Seconds(), len(again)),
		append(known, last)
}

// deadPods tells where packets to a pod that is gone end: after the step that took it away they are seen on nodes, and
// no longer in the pod.
func (t *teller) deadPods() {
	if t.blind(evidence.FromPackets) {
		return
	}
	for _, pod := range t.e.PodNames() {
		d := t.killed(pod)
		if d == nil {
			continue
		}
		var lost []*packet.Packet
		for _, p := range t.a.Packets {
			switch {
			case !p.Time.After(d.Time):
			case t.e.Pods[p.Dst.Addr()] == pod && !slices.Contains(t.e.Nodes, p.At) && p.At != t.e.ClientAt:
				return // whoever has the address now
			case t.e.Pods[p.Dst.Addr()] == pod && slices.Contains(t.e.Nodes, p.At) && p.Protocol != packet.ICMP:
				lost = append(lost, p)
			}
		}
		if len(lost) == 0 {
			continue
		}
		t.lastSeen(pod, d, lost)
	}
}

// lastSeen tells of the packets to one pod that is gone.
func (t *teller) lastSeen(pod string, gone *evidence.Deed, lost []*packet.Packet) {
	last := lost[0]
	facts := on(gone)
	n := 0
	for _, p := range lost {
		facts = append(facts, p)
		if slices.Index(t.e.Nodes, p.At) >= slices.Index(t.e.Nodes, last.At) {
			last = p
		}
	}
	for _, p := range lost {
		if p.At == last.At {
			n++
		}
	}
	by := ""
	if ev := t.kernelDropped(last.At, last.Dst, gone.Time); ev != nil {
		by = ", whose kernel throws it away (" + kernelWords(ev) + ")"
		facts = append(facts, ev)
	}
	t.say(lost[0].Time, facts, "what goes to %s (%s), which is gone, gets as far as %s (%s)%s: nobody has that address", pod, last.Dst, last.At,
		Count(n, "packet", "packets"), by)
}

// killed is the step after which a pod was gone; nil if there was none. The step names the pod, or it is the one that
// served the first connection.
func (t *teller) killed(pod string) *evidence.Deed {
	for i := range t.e.Deeds {
		d := &t.e.Deeds[i]
		if d.At != "step" || d.Kind != "kill-pod" {
			continue
		}
		if strings.HasPrefix(d.Text, "pod "+pod+" ") || strings.HasPrefix(d.Text, "the pod that serves") && t.served(d.Time) == pod {
			return d
		}
	}
	return nil
}

// served is the pod that the first connection was last translated to before a time; empty if none.
func (t *teller) served(before time.Time) (pod string) {
	for i := range t.e.Events {
		ev := &t.e.Events[i]
		if len(t.e.Flows) > 0 && ev.Type == conntrack.New && ev.Original.Src == t.e.Flows[0].Local && ev.Time.Before(before) {
			if picked := t.e.Pick(ev); picked != "" {
				pod = picked
			}
		}
	}
	return pod
}

// halfOpen tells of a server's socket that has outlived the connection, or else of ends that do not agree: who is left
// ESTABLISHED.
func (t *teller) halfOpen() {
	if t.a.Peer == HalfOpen && t.a.openServer() != nil {
		open := t.a.openServer()
		t.say(t.e.Ended, on(t.shown(open)), "the old backend does not know: the socket on %s is still ESTABLISHED (half-open)", open.At)
		return
	}
	t.unlooked()
	var client, closing *evidence.LastState
	var open []*evidence.LastState
	for _, l := range t.a.Last {
		switch {
		case l.Side == peer.Client:
			client = l
		case t.killed(l.At) != nil: // its pod is gone, and its program with it
		case l.State == "ESTABLISHED":
			open = append(open, l)
		default:
			closing = l
		}
	}
	facts := []any{}
	var names []string
	for _, l := range open {
		facts, names = append(facts, t.shown(l)), append(names, l.At)
	}
	servers := strings.Join(names, " and ")
	switch established := client != nil && client.State == "ESTABLISHED"; {
	case t.a.Outcome == Survived || t.e.External && client == nil:
	case established && len(open) > 0:
		t.say(t.e.Ended, append(facts, t.shown(client)), "both sockets are still ESTABLISHED, the client's and the one on %s: no program was told that anything is wrong", servers)
	case established && closing != nil:
		t.say(t.e.Ended, on(t.shown(closing), t.shown(client)), "the socket on %s is in %s, and the client's is still ESTABLISHED: it was not told", closing.At, closing.State)
	case established && t.a.Outcome != Refused:
		t.say(t.e.Ended, on(t.shown(client)), "the client's socket is still ESTABLISHED, and no server has one that is")
	case len(open) > 0 && client != nil:
		t.say(t.e.Ended, append(facts, t.shown(client)), "the client's socket is in %s, and the one on %s is still ESTABLISHED: it was not told", client.State, servers)
	case client != nil && closing != nil && t.a.Outcome == Hang:
		t.say(t.e.Ended, on(t.shown(client), t.shown(closing)), "the client's socket is in %s, and the one on %s in %s: neither has gone", client.State, closing.At, closing.State)
	case len(open) > 0 && t.closedSelf() != nil:
		t.say(t.e.Ended, append(facts, t.closedSelf()), "the client has closed its socket, and the one on %s is still ESTABLISHED: it was not told", servers)
	}
}

// unlooked tells of sockets that the kernel has closed and whose programs do not know, because they have made no call
// since.
func (t *teller) unlooked() {
	for _, l := range t.a.Last {
		told := slices.ContainsFunc(t.a.reports, func(r *peer.Report) bool { return r.At == l.At && r.Side == l.Side && r.Err != nil })
		if !l.Closed() || told || t.e.External {
			continue
		}
		t.say(t.e.Ended, on(t.shown(l)), "the kernel has closed the socket on %s, and its program has not looked yet", l.At)
	}
}

// closedSelf is the report of the client's own close; nil if it has not closed.
func (t *teller) closedSelf() any {
	for _, r := range t.a.reports {
		if r.Side == peer.Client && r.Call == peer.Close && r.Err == nil {
			return r
		}
	}
	return nil
}

// shown is the observation that shows a socket's state at the end: the last sample of it if that shows the same, or else
// the state itself.
func (t *teller) shown(l *evidence.LastState) any {
	var seen any = l
	for i := range t.e.Samples {
		if s := &t.e.Samples[i]; s.Flow == l.Flow && s.Side == l.Side && s.At == l.At {
			seen = l
			if s.State.String() == l.State {
				seen = s
			}
		}
	}
	return seen
}
