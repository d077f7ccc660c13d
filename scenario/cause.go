package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// cause tells a connection's story in the order of time, one sentence for each thing that was observed; what was not
// observed is not told.
func (e *evidence) cause(s *story) []string {
	t := &teller{e: e, ix: e.index(), s: s}
	if s.Local != "" {
		t.entries()
		t.elsewhere()
	}
	t.repeats()
	t.drops()
	t.resets()
	t.sends()
	t.losses()
	t.goesOn()
	t.astray()
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
	var before nodeEvent // the last that translates
	for _, ev := range t.s.events {
		if ev.node != translating {
			continue
		}
		pod := t.e.pick(ev)
		switch {
		case ev.Type == conntrack.Update && pod != "" && len(pods) == 0:
			t.say(ev.Time, "%s → %s meets an entry that was there before it, and by it %s translates it to the address of %s (%s)",
				ev.Original.Src, ev.Original.Dst, ev.node, pod, ev.Reply.Src)
			pods, before = append(pods, pod), ev
		case ev.Type != conntrack.New:
		case pod == "" && len(pods) > 0:
			t.say(ev.Time, "%s > %s finds no entry on %s, and no rule translates it: it goes on with the addresses it has, "+
				"and with an entry of its own", ev.Original.Src, ev.Original.Dst, ev.node)
		case pod == "":
		case len(pods) == 0:
			t.say(ev.Time, "at its first packet the flow %s → %s was translated, once, to %s (%s) by %s",
				ev.Original.Src, ev.Original.Dst, pod, ev.Reply.Src, ev.node)
		case pod == pods[0]:
			lucky = append(lucky, before, ev)
		default:
			t.say(ev.Time, "the next packet finds no entry: %s translates it afresh%s (%s), this time to %s (%s)%s%s",
				ev.node, midStream(ev), stateText(ev), pod, ev.Reply.Src, masqueraded(before, ev), t.way(ev))
		}
		if ev.Type == conntrack.New && pod != "" {
			pods, before = append(pods, pod), ev
		}
		switch by := ev.DestroyedBy(); {
		case by == conntrack.NotDestroyed:
		case by == conntrack.Reset && pod == "":
			t.say(ev.Time, "conntrack on %s sees the RST and destroys the entry of what it has not translated", ev.node)
		case by == conntrack.Reset:
			t.say(ev.Time, "conntrack on %s sees the RST and destroys the entry", ev.node)
		case len(pods) < 2 || by == conntrack.Kernel:
			t.say(ev.Time, "the entry on %s is destroyed: %s%s", ev.node, t.e.destroyedBy(ev), t.aged(before, ev))
		}
	}
	t.lucky(lucky)
}

// aged tells of the step that has brought an expiry about; empty if time alone has.
func (t *teller) aged(made, gone nodeEvent) string {
	if gone.DestroyedBy() != conntrack.Expired {
		return ""
	}
	for _, n := range slices.Backward(t.e.notes) {
		if n.kind == "age" && n.time.Before(gone.Time) && n.time.After(made.Time) {
			return " (step: " + n.text + ")"
		}
	}
	return ""
}

// masqueraded tells that a fresh translation has given the flow another source too: to the backend it is a stranger's.
func masqueraded(before, after nodeEvent) string {
	if after.Reply.Dst == after.Original.Src || after.Reply.Dst == before.Reply.Dst {
		return ""
	}
	return fmt.Sprintf(", masqueraded afresh as %s (before it was %s)", after.Reply.Dst, before.Reply.Dst)
}

// elsewhere tells of an entry that was lost on a node that translates nothing, unless one was lost where it matters.
func (t *teller) elsewhere() {
	if t.s.Breaks > 0 {
		return
	}
	told := map[string]int{} // what was told of a node: the loss, and then what came of it
	for _, ev := range t.s.events {
		if ev.node == translating {
			continue
		}
		by := ev.DestroyedBy()
		switch {
		case told[ev.node] == 0 && (by == conntrack.Caller || by == conntrack.Expired):
			t.say(ev.Time, "the entry on %s, which translates nothing, is destroyed: %s", ev.node, t.e.destroyedBy(ev))
			told[ev.node] = 1
		case told[ev.node] == 1 && ev.Type == conntrack.New:
			t.say(ev.Time, "the next packet finds no entry on %s, which takes it up%s (%s) with the addresses it has: they are right",
				ev.node, midStream(ev), stateText(ev))
			told[ev.node] = 2
		}
	}
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

// lucky sums up the times the flow went back to where it came from; again is, for each, the entry before and the new one.
func (t *teller) lucky(again []nodeEvent) {
	if len(again) == 0 {
		return
	}
	before, first := again[0], again[1]
	pod := t.e.podName(first.Reply.Src.Addr())
	how := pod + " again, by luck"
	switch {
	case len(t.e.pods) == 1:
		how = pod + ", the only backend"
	case t.e.sticky():
		how = pod + " again, as the rules of sessionAffinity have it"
	}
	end := ", and the flow goes on"
	if t.s.Outcome == Reset && !t.s.rerouted() {
		end = "" // the right pod did not help
	}
	often := ""
	if n := len(again) / 2; n > 1 {
		often = fmt.Sprintf("%d times ", n)
	}
	t.say(first.Time, "%sthe client's next packet finds no entry: %s translates it afresh%s, to %s%s%s", often, first.node,
		midStream(first), how, masqueraded(before, first), end)
}

// sticky tells whether a rule was met that gives a client the backend it had before.
func (e *evidence) sticky() bool {
	return slices.ContainsFunc(e.rules[translating], func(c dataplane.Counter) bool {
		return c.Packets > 0 && strings.Contains(c.Rule, "-m recent") && strings.Contains(c.Rule, "--rcheck")
	})
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

// sends tells at each place which call was the first to fail, and whether the one before had not.
func (t *teller) sends() {
	last := map[string]probe.Report{} // the successful send before, by place
	failed := map[string]bool{}
	for _, r := range t.s.reports {
		before, sent := last[r.At]
		if r.Err == nil && r.Call == probe.Send {
			last[r.At] = r
		}
		if r.Err == nil || failed[r.At] || r.Call == probe.Close && len(failed) > 0 {
			continue
		}
		failed[r.At] = true
		whose, errno := "the client's", probe.ErrnoText(r.Err)
		if r.Side == probe.Server {
			whose = r.At + "'s"
		}
		switch {
		case r.Call == probe.Send && sent && before.Time.Before(t.s.lastBreak):
			t.say(r.Time, "%s first send after the break already gets %s", whose, errno)
		case r.Call == probe.Send && sent:
			t.say(r.Time, "%s send before had returned success; this one gets %s", whose, errno)
		default:
			t.say(r.Time, "%s %s gets %s", whose, r.Call, errno)
		}
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

// goesOn tells of the first message that arrives after all that was told, where nothing tells so already.
func (t *teller) goesOn() {
	if t.s.Outcome != Survived || t.s.Breaks > 0 || len(t.out) < 2 {
		return
	}
	last := slices.MaxFunc(t.out, func(a, b sentence) int { return a.time.Compare(b.time) }).time
	for _, r := range t.s.reports {
		if r.Side == probe.Server && r.Call == probe.Recv && r.Bytes > 0 && r.Time.After(last) {
			t.say(r.Time, "the client's next message arrives at %s: the connection goes on", r.At)
			return
		}
	}
}

// astray tells who received what was meant for another.
func (t *teller) astray() {
	if t.s.Outcome != WrongBackend {
		return
	}
	first := ""
	for _, r := range t.s.reports {
		if r.Side != probe.Server || r.Call != probe.Recv || r.Bytes == 0 {
			continue
		}
		switch ours := slices.Contains(podNames(t.e), r.At); {
		case !ours:
			t.say(r.Time, "what the client sends arrives at %s, which is no backend of the service", r.At)
			return
		case first == "":
			first = r.At
		case r.At != first:
			t.say(r.Time, "what the client sends arrives at %s, no longer at %s", r.At, first)
			return
		}
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
