package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// cause tells a connection's story in the order of time, one sentence for each thing that was observed; what was not
// observed is not told.
func (e *evidence) cause(s *story) []string {
	t := &teller{e: e, ix: e.index(), s: s}
	if s.Local != "" {
		t.entries()
	}
	t.probes()
	t.drops()
	t.resets()
	t.sends()
	t.losses()
	t.foreign()
	if s.Peer == HalfOpen {
		t.say(e.ended, "the old backend does not know: the socket on %s is still ESTABLISHED (half-open)", t.openServer())
	}
	slices.SortStableFunc(t.out, func(a, b sentence) int { return a.time.Compare(b.time) })
	var out []string
	for _, s := range t.out {
		if !s.time.Equal(e.ended) {
			s.text = fmt.Sprintf("+%.6f s  %s", e.since(s.time), s.text)
		}
		out = append(out, s.text)
	}
	return out
}

type teller struct {
	e   *evidence
	ix  index
	s   *story
	out []sentence
}

type sentence struct {
	time time.Time
	text string
}

func (t *teller) say(at time.Time, format string, args ...any) {
	t.out = append(t.out, sentence{at, fmt.Sprintf(format, args...)})
}

// entries follows the entry on the translating node: made, destroyed by whom, made again in the middle of the stream.
func (t *teller) entries() {
	var pods []string
	var lucky []nodeEvent
	for _, ev := range t.s.events {
		if ev.node != translating {
			continue
		}
		if pod := t.e.pick(ev); ev.Type == conntrack.New && pod != "" {
			switch {
			case len(pods) == 0:
				t.say(ev.Time, "at its first packet the flow %s → %s was translated, once, to %s (%s) by %s",
					ev.Original.Src, ev.Original.Dst, pod, ev.Reply.Src, ev.node)
			case pod == pods[0]:
				lucky = append(lucky, ev)
			default:
				t.say(ev.Time, "the next packet finds no entry: %s translates it afresh%s (%s), this time to %s (%s)%s",
					ev.node, midStream(ev), stateText(ev), pod, ev.Reply.Src, t.way(ev))
			}
			pods = append(pods, pod)
		} else if ev.Type == conntrack.New && len(pods) > 0 {
			t.say(ev.Time, "%s > %s finds no entry on %s, and no rule translates it: it goes on with the addresses it has",
				ev.Original.Src, ev.Original.Dst, ev.node)
		}
		switch by := ev.DestroyedBy(); {
		case by == conntrack.NotDestroyed:
		case by == conntrack.Reset:
			t.say(ev.Time, "conntrack on %s sees the RST and destroys the entry", ev.node)
		case len(pods) < 2 || by == conntrack.Kernel:
			t.say(ev.Time, "the entry on %s is destroyed: %s", ev.node, t.e.destroyedBy(ev))
		}
	}
	t.lucky(lucky)
}

// midStream says so if there is a stream.
func midStream(ev nodeEvent) string {
	if ev.HasTCP {
		return ", in mid-stream"
	}
	return ""
}

// way tells which chains of the nat table the packet of a new entry met, and that the packets of the entry before met
// none; empty if packets were not traced.
func (t *teller) way(ev nodeEvent) string {
	text, known := "", 0
	for _, p := range t.e.paths {
		if p.Node != ev.node || p.Packet.Src != ev.Original.Src || p.Packet.Dst != ev.Original.Dst {
			continue
		}
		if at, _ := t.e.when(p); at.After(ev.Time) {
			break
		}
		if !p.Met("nat") {
			known++
			continue
		}
		if known > 0 {
			text = fmt.Sprintf(": it meets the nat table, %s; %s, with an entry, did not",
				strings.Join(natChains(p), " → "), times(known, "packet before it", "packets before it"))
		}
	}
	return text
}

// natChains are the chains of kube-proxy that decide on the backend.
func natChains(p rulepath.Path) []string {
	var out []string
	for _, h := range p.Hops {
		if h.Table == "nat" && h.Chain != "POSTROUTING" && h.Chain != "KUBE-POSTROUTING" && !slices.Contains(out, h.Chain) {
			out = append(out, h.Chain)
		}
	}
	return out
}

// drops tells of the first packet that a rule threw away, and of the first that the kernel did where no rule was to
// blame.
func (t *teller) drops() {
	for _, p := range t.e.paths {
		at, _ := t.e.when(p)
		if p.Verdict() != "DROP" || t.ix.path(p, at) != t.s.ID || len(p.Hops) == 0 {
			continue
		}
		by := dropper(p)
		verb := "drops"
		if strings.Contains(by, "-j REJECT") {
			verb = "rejects"
		}
		t.say(at, "%s "+verb+" %s > %s [%s]: %s", p.Node, p.Packet.Src, p.Packet.Dst, p.Packet.Flags, by)
		return
	}
	for i, ev := range t.e.kernel {
		if ev.Kind != kernel.Drop || t.e.folded(i) || t.ix.kernel(ev) != t.s.ID || t.isProbe(ev) {
			continue
		}
		t.say(ev.Time, "the kernel of %s throws %s > %s away: %s", ev.at, ev.Src, ev.Dst, kernelWords(ev))
		return
	}
}

// probes tells of the keepalive probes of each side: when the first went out, and how many there were.
func (t *teller) probes() {
	for _, at := range append([]string{t.e.clientAt}, podNames(t.e)...) {
		var first packet.Packet
		n := 0
		for _, p := range t.s.packets {
			if p.At == at && p.Direction == packet.Out && p.Relative.Repeat == packet.KeepAlive {
				if n++; n == 1 {
					first = p
				}
			}
		}
		switch {
		case n == 1:
			t.say(first.Time, "the kernel of %s sends a keepalive probe", at)
		case n > 1:
			t.say(first.Time, "the kernel of %s begins to send keepalive probes, %d in all", at, n)
		}
	}
}

// isProbe tells whether what the kernel threw away was a keepalive probe: it has answered it, and so has it done all
// that a probe asks for.
func (t *teller) isProbe(ev kernelEvent) bool {
	last := packet.Fresh
	for _, p := range t.s.packets {
		if p.At == ev.at && p.Direction == packet.In && p.Src == ev.Src && p.Dst == ev.Dst && !p.Time.After(ev.Time) {
			last = p.Relative.Repeat
		}
	}
	return last == packet.KeepAlive
}

// lucky sums up the times the flow went back to where it came from.
func (t *teller) lucky(again []nodeEvent) {
	if len(again) == 0 {
		return
	}
	pod := t.e.podName(again[0].Reply.Src.Addr())
	how := pod + " again, by luck"
	if len(t.e.pods) == 1 {
		how = pod + ", the only backend"
	}
	end := ", and the flow goes on"
	if t.s.Outcome == Reset && !t.s.rerouted() {
		end = "" // the right pod did not help
	}
	often := ""
	if n := len(again); n > 1 {
		often = fmt.Sprintf("%d times ", n)
	}
	t.say(again[0].Time, "%sthe packet after the break is translated afresh, in mid-stream, to %s%s", often, how, end)
}

// stateText is the new entry's state as a conntrack line shows it.
func stateText(ev nodeEvent) string {
	text := ""
	if ev.HasTCP {
		text = ev.TCP.String() + " "
	}
	if !ev.Status.Has(conntrack.StatusSeenReply) {
		text += "[UNREPLIED]"
	}
	return strings.TrimSpace(text)
}

// resets tells where a RST was sent and as whose it arrived.
func (t *teller) resets() {
	packets := t.s.packets
	isReset := func(p packet.Packet, direction packet.Direction, at func(string) bool) bool {
		return p.Protocol == packet.TCP && p.Flags.Has(packet.RST) && p.Direction == direction && at(p.At)
	}
	pod := func(name string) bool { return name == t.e.clientAt || slices.Contains(podNames(t.e), name) }
	i := slices.IndexFunc(packets, func(p packet.Packet) bool { return isReset(p, packet.Out, pod) })
	if i < 0 {
		return
	}
	sent := packets[i]
	t.say(sent.Time, "%s and answers RST, %s > %s%s", t.s.whyReset(sent), sent.Src, sent.Dst, t.wordOn(sent))
	j := slices.IndexFunc(packets, func(p packet.Packet) bool {
		return p.At != sent.At && isReset(p, packet.In, pod)
	})
	if j < 0 {
		return
	}
	got := packets[j]
	if got.At == translating { // seen before the node translates it for its own program
		t.say(got.Time, "it reaches %s as %s > %s, which translates it back", got.At, got.Src, got.Dst)
		return
	}
	t.say(got.Time, "it reaches %s as %s > %s, %s", got.At, got.Src, got.Dst, t.role(got.Src))
}

// wordOn is what the kernel itself told of the RST that it sent; empty if it was not asked.
func (t *teller) wordOn(sent packet.Packet) string {
	for _, ev := range t.e.kernel {
		ours := ev.Packet && ev.Dst == sent.Src && ev.Src == sent.Dst || !ev.Packet && ev.Src == sent.Src && ev.Dst == sent.Dst
		if ev.Kind == kernel.SendReset && ev.at == sent.At && ours && !ev.Time.After(sent.Time) {
			return " (its kernel: " + kernelWords(ev) + ")"
		}
	}
	return ""
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
	var last *probe.Report // the successful send before
	for i, r := range t.s.reports {
		if r.Err == nil {
			if r.Call == probe.Send {
				last = &t.s.reports[i]
			}
			continue
		}
		if r.Call == probe.Send && last != nil && last.Side == r.Side {
			t.say(r.Time, "the %s's send before had returned success; this one gets %s", r.Side, probe.ErrnoText(r.Err))
		} else {
			t.say(r.Time, "the %s's %s gets %s", r.Side, r.Call, probe.ErrnoText(r.Err))
		}
		return
	}
}

// losses tells of messages that nobody was told are lost. Where a reset ends the connection, the one that drew it is no
// surprise.
func (t *teller) losses() {
	n := t.s.lost()
	if n <= 0 || t.s.Outcome == Reset {
		return
	}
	t.say(t.e.ended, "of the client's sends that returned success, %s never arrived at a server", times(n, "message", "messages"))
}

func (t *teller) openServer() string {
	for _, f := range t.s.finals {
		if f.side == probe.Server && f.State == "ESTABLISHED" {
			return f.at
		}
	}
	return ""
}
