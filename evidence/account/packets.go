package account

import (
	"net/netip"
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

// resets tells where a RST was sent and as whose it arrived, for each pair of addresses once.
func (t *teller) resets() {
	said := map[[2]netip.AddrPort]bool{}
	for i, p := range t.a.Packets {
		way := [2]netip.AddrPort{p.Src, p.Dst}
		if !t.isReset(p, packet.Out) || said[way] {
			continue
		}
		said[way] = true
		t.untranslated(p)
		why, known := t.a.whyReset(p)
		words, event := t.wordOn(p)
		t.say(p.Time, on(p, known, event), "%s and answers RST, %s > %s%s", why, p.Src, p.Dst, words)
		for _, q := range t.a.Packets[i+1:] {
			if t.isReset(q, packet.Out) {
				break // what arrives after this may be of another
			}
			if q.At != p.At && t.isReset(q, packet.In) {
				t.arrives(q)
				break
			}
		}
	}
}

// isReset tells whether a pod sends or gets a RST.
func (t *teller) isReset(p *packet.Packet, direction packet.Direction) bool {
	return p.Protocol == packet.TCP && p.Flags.Has(packet.RST) && p.Direction == direction &&
		(p.At == t.e.ClientAt || t.e.IsPod(p.At))
}

func (t *teller) arrives(p *packet.Packet) {
	if t.e.Translates(p.At) { // seen before the node translates it for its own program
		t.say(p.Time, on(p), "the RST reaches %s as %s > %s, which translates it back", p.At, p.Src, p.Dst)
		return
	}
	t.say(p.Time, on(p), "the RST reaches %s as %s > %s, %s", p.At, p.Src, p.Dst, t.role(p.Src))
}

// untranslated tells of the packet that drew a RST from the client because it came with a pod's own address, although
// the node had an entry to translate it by; where it had none, that was told with the entry.
func (t *teller) untranslated(sent *packet.Packet) {
	if sent.At != t.e.ClientAt || t.e.Pods[sent.Dst.Addr()] == "" || t.e.Unwatched[evidence.FromConntrack] {
		return
	}
	for _, ev := range t.a.Events {
		if t.e.Translates(ev.Node) && ev.Type == conntrack.New && ev.Original.Src == sent.Dst && !ev.Time.After(sent.Time) {
			return
		}
	}
	for _, p := range t.a.Packets {
		if p.At == sent.At && p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src && !p.Time.After(sent.Time) {
			t.say(p.Time, on(p), "%s > %s [%s] reaches %s with the pod's own address: no entry was applied to it", p.Src, p.Dst, p.Flags, p.At)
			return
		}
	}
}

// wordOn is what the kernel itself told of the RST that it sent, and when it did; empty if it was not asked.
func (t *teller) wordOn(sent *packet.Packet) (words string, event any) {
	for i := range t.e.Kernel {
		ev := &t.e.Kernel[i]
		ours := ev.Packet && ev.Dst == sent.Src && ev.Src == sent.Dst || !ev.Packet && ev.Src == sent.Src && ev.Dst == sent.Dst
		if ev.Kind == kernel.SendReset && ev.At == sent.At && ours && !ev.Time.After(sent.Time) {
			return " (its kernel: " + kernelWords(ev) + ")", ev
		}
	}
	return "", nil
}

// role tells whose address a packet carries.
func (t *teller) role(src netip.AddrPort) string {
	if src == t.e.Service {
		return "as if the service had sent it"
	}
	return "with the pod's own address, un-translated"
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
