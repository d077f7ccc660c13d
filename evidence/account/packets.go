package account

import (
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// drops tells of the first packet that a rule threw away, and of the first that the kernel did where no rule was to
// blame.
func (t *teller) drops() {
	for i := range t.e.Paths {
		p := &t.e.Paths[i]
		at, _ := t.e.When(p)
		if p.Verdict() != "DROP" || t.ix.Path(p, at) != t.a.ID || len(p.Hops) == 0 {
			continue
		}
		by := evidence.Dropper(p)
		verb := "drops"
		if strings.Contains(by, "-j REJECT") {
			verb = "rejects"
		}
		why, facts := "", on(p)
		if strings.Contains(by, "--ctstate INVALID") {
			var event any
			why, event = t.invalid(p, at)
			facts = on(p, event)
		}
		t.say(at, facts, "%s "+verb+" %s > %s [%s]%s: %s", p.Node, p.Packet.Src, p.Packet.Dst, p.Packet.Flags, why, by)
		return
	}
	for i := range t.e.Kernel {
		ev := &t.e.Kernel[i]
		if ev.Kind != kernel.Drop || t.e.Folded(i) || t.ix.Kernel(ev) != t.a.ID || t.isProbe(ev) {
			continue
		}
		t.say(ev.Time, on(ev), "the kernel of %s throws %s > %s away: %s", ev.At, ev.Src, ev.Dst, kernelWords(ev))
		return
	}
}

// invalid tells why a packet is INVALID to conntrack on a node: whether the node had an entry for it, by the last event
// of such an entry. It is empty if that is not known.
func (t *teller) invalid(p *rulepath.Path, at time.Time) (why string, known any) {
	if t.e.Unwatched[evidence.FromConntrack] || t.e.Lost[string(evidence.FromConntrack)] > 0 {
		return "", nil
	}
	has := false
	for _, ev := range t.a.Events {
		if ev.Node != p.Node || ev.Time.After(at) {
			continue
		}
		if o, r := ev.Original, ev.Reply; (p.Packet.Src != o.Src || p.Packet.Dst != o.Dst) && (p.Packet.Src != r.Src || p.Packet.Dst != r.Dst) {
			continue
		}
		has, known = ev.DestroyedBy() == conntrack.NotDestroyed, ev
	}
	if has {
		return ", which its entry there does not fit, so that it is INVALID", known
	}
	return ", which has no entry there any more and begins none, so that it is INVALID", known
}

// repeats tells of what each side sent again by itself: keepalive probes, and what nobody had acknowledged.
func (t *teller) repeats() {
	for _, at := range append([]string{t.e.ClientAt}, t.e.PodNames()...) {
		switch first, all := t.repeated(at, packet.KeepAlive); {
		case len(all) == 1:
			t.say(first, all, "the kernel of %s sends a keepalive probe", at)
		case len(all) > 1:
			t.say(first, all, "the kernel of %s begins to send keepalive probes, %d in all", at, len(all))
		}
		if first, all := t.repeated(at, packet.Retransmission); len(all) > 0 {
			t.say(first, all, "the kernel of %s has had no acknowledgement and sends again, %s in all", at, Count(len(all), "time", "times"))
		}
	}
}

// repeated are a pod's packets of that kind that went out, and when the first did.
func (t *teller) repeated(at string, kind packet.Repeat) (first time.Time, all []any) {
	for _, p := range t.a.Packets {
		if p.At == at && p.Direction == packet.Out && p.Relative.Repeat == kind {
			if all = append(all, p); len(all) == 1 {
				first = p.Time
			}
		}
	}
	return first, all
}

// isProbe tells whether what the kernel threw away was a keepalive probe: it has answered it, and so has it done all
// that a probe asks for.
func (t *teller) isProbe(ev *evidence.KernelEvent) bool {
	last := packet.Fresh
	for _, p := range t.a.Packets {
		if p.At == ev.At && p.Direction == packet.In && p.Src == ev.Src && p.Dst == ev.Dst && !p.Time.After(ev.Time) {
			last = p.Relative.Repeat
		}
	}
	return last == packet.KeepAlive
}

// kernelWords is an event of the kernel in words.
func kernelWords(ev *evidence.KernelEvent) string {
	words := []string{"no socket"}
	if ev.State != "" {
		words[0] = "socket in " + ev.State
	} else if ev.Kind == kernel.Drop {
		words = nil // a packet under way has none
	}
	if ev.Reason != "" {
		words = append(words, "reason "+ev.Reason)
	}
	if story := ev.Functions(); len(story) > 0 {
		words = append(words, strings.Join(story, " → "))
	}
	return strings.Join(words, ", ")
}
