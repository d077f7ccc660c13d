package account

import (
	"github.com/ctsim/ctsim/evidence"

	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// Tell gives a connection's account in the order of time, one sentence for each thing that was observed; what was not
// observed is not told.
func Tell(e *evidence.Evidence, ix evidence.Index, a *Account, accounts []*Account) []claim {
	t := &teller{e: e, ix: ix, a: a}
	if a.Local != "" {
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
	t.external(accounts)
	t.halfOpen()
	slices.SortStableFunc(t.out, func(a, b claim) int { return a.time.Compare(b.time) })
	return t.out
}

// teller makes the sentences of one account.
type teller struct {
	e   *evidence.Evidence
	ix  evidence.Index
	a   *Account
	out []claim
}

// on are the facts that a sentence rests on.
func on(facts ...any) []any {
	return slices.DeleteFunc(facts, func(f any) bool { return f == nil })
}

func (t *teller) say(at time.Time, facts []any, format string, args ...any) {
	t.out = append(t.out, claim{at, fmt.Sprintf(format, args...), facts})
}

// entries follows the entry on the translating node: made, destroyed by whom, made again in the middle of the stream.
func (t *teller) entries() {
	var pods []string
	var lucky []*evidence.EntryEvent
	var before *evidence.EntryEvent // the last that translates
	for _, ev := range t.a.Events {
		if !t.e.Translates(ev.Node) {
			continue
		}
		pod := t.e.Pick(ev)
		switch {
		case ev.Type == conntrack.Update && pod != "" && len(pods) == 0:
			t.say(ev.Time, on(ev), "%s → %s meets an entry that was there before it, and by it %s translates it to the address of %s (%s)",
				ev.Original.Src, ev.Original.Dst, ev.Node, pod, ev.Reply.Src)
			pods, before = append(pods, pod), ev
		case ev.Type != conntrack.New:
		case pod == "" && len(pods) > 0:
			t.say(ev.Time, on(ev), "%s > %s finds no entry on %s, and no rule translates it: it goes on with the addresses it has, "+
				"and with an entry of its own", ev.Original.Src, ev.Original.Dst, ev.Node)
		case pod == "":
		case len(pods) == 0:
			t.say(ev.Time, on(ev), "at its first packet the flow %s → %s was translated, once, to %s (%s) by %s",
				ev.Original.Src, ev.Original.Dst, pod, ev.Reply.Src, ev.Node)
		case pod == pods[0]:
			lucky = append(lucky, before, ev)
		default:
			way, met := t.way(ev)
			t.say(ev.Time, append(on(before, ev), met...), "the next packet finds no entry: %s translates it afresh%s (%s), this time to %s (%s)%s%s",
				ev.Node, midStream(ev), stateText(ev), pod, ev.Reply.Src, masqueraded(before, ev), way)
		}
		if ev.Type == conntrack.New && pod != "" {
			pods, before = append(pods, pod), ev
		}
		t.destroyed(ev, before, pod, len(pods))
	}
	t.lucky(lucky)
}

// destroyed tells of an entry's end, if the event is one; before is the last that translated, made how many there were.
func (t *teller) destroyed(ev, before *evidence.EntryEvent, pod string, made int) {
	switch by := ev.DestroyedBy(); {
	case by == conntrack.NotDestroyed:
	case by == conntrack.Reset && pod == "":
		t.say(ev.Time, on(ev), "conntrack on %s sees the RST and destroys the entry of what it has not translated", ev.Node)
	case by == conntrack.Reset:
		t.say(ev.Time, on(ev), "conntrack on %s sees the RST and destroys the entry", ev.Node)
	case made < 2 || by == conntrack.Kernel:
		aged, step := t.aged(before, ev)
		t.say(ev.Time, on(ev, step), "the entry on %s is destroyed: %s%s", ev.Node, t.e.DestroyedBy(ev), aged)
	}
}

// aged tells of the step that has brought an expiry about, and which it was; empty if time alone has.
func (t *teller) aged(made, gone *evidence.EntryEvent) (text string, step any) {
	if gone.DestroyedBy() != conntrack.Expired {
		return "", nil
	}
	for i := range slices.Backward(t.e.Deeds) {
		d := &t.e.Deeds[i]
		if d.Kind == "age" && d.Time.Before(gone.Time) && (made == nil || d.Time.After(made.Time)) {
			return " (step: " + d.Text + ")", d
		}
	}
	return "", nil
}

// masqueraded tells that a fresh translation has given the flow another source too: to the backend it is a stranger's.
func masqueraded(before, after *evidence.EntryEvent) string {
	if before == nil || after.Reply.Dst == after.Original.Src || after.Reply.Dst == before.Reply.Dst {
		return ""
	}
	return fmt.Sprintf(", masqueraded afresh as %s (before it was %s)", after.Reply.Dst, before.Reply.Dst)
}

// elsewhere tells of an entry that was lost on a node that translates nothing, unless one was lost where it matters.
func (t *teller) elsewhere() {
	if t.a.Breaks > 0 {
		return
	}
	said := map[string]int{} // what was said of a node: the loss, and then what came of it
	for _, ev := range t.a.Events {
		if t.e.Translates(ev.Node) {
			continue
		}
		by := ev.DestroyedBy()
		switch {
		case said[ev.Node] == 0 && (by == conntrack.Caller || by == conntrack.Expired):
			t.say(ev.Time, on(ev), "the entry on %s, which translates nothing, is destroyed: %s", ev.Node, t.e.DestroyedBy(ev))
			said[ev.Node] = 1
		case said[ev.Node] == 1 && ev.Type == conntrack.New:
			t.say(ev.Time, on(ev), "the next packet finds no entry on %s, which takes it up%s (%s) with the addresses it has: they are right",
				ev.Node, midStream(ev), stateText(ev))
			said[ev.Node] = 2
		}
	}
}

// midStream says so if there is a stream.
func midStream(ev *evidence.EntryEvent) string {
	if ev.HasTCP {
		return ", in mid-stream"
	}
	return ""
}

// way tells which chains of the nat table the packet of a new entry met, and that the packets of the entry before met
// none; empty if packets were not traced. It rests on these packets' ways.
func (t *teller) way(ev *evidence.EntryEvent) (text string, met []any) {
	var known []any
	for i := range t.e.Paths {
		p := &t.e.Paths[i]
		if p.Node != ev.Node || p.Packet.Src != ev.Original.Src || p.Packet.Dst != ev.Original.Dst {
			continue
		}
		if at, _ := t.e.When(p); at.After(ev.Time) {
			break
		}
		if !p.Met("nat") {
			known = append(known, p)
			continue
		}
		if chains := natChains(p); len(known) > 0 && len(chains) > 0 {
			text = fmt.Sprintf(": it meets the nat table, %s; %s, with an entry, did not",
				strings.Join(chains, " → "), Count(len(known), "packet before it", "packets before it"))
			met = append(slices.Clone(known), p)
		}
	}
	return text, met
}

// natChains are the chains of kube-proxy that decide on the backend.
func natChains(p *rulepath.Path) []string {
	var out []string
	for _, h := range p.Hops {
		if h.Table == "nat" && h.Chain != "POSTROUTING" && h.Chain != "KUBE-POSTROUTING" && !slices.Contains(out, h.Chain) {
			out = append(out, h.Chain)
		}
	}
	return out
}

// lucky sums up the times the flow went back to where it came from; again is, for each, the entry before and the new one.
func (t *teller) lucky(again []*evidence.EntryEvent) {
	if len(again) == 0 {
		return
	}
	before, first := again[0], again[1]
	pod := t.e.PodName(first.Reply.Src.Addr())
	how := pod + " again, by luck"
	switch {
	case len(t.e.Pods) == 1:
		how = pod + ", the only backend"
	case sticky(t.e, first.Node):
		how = pod + " again, as the rules of sessionAffinity have it"
	}
	end := ", and the flow goes on"
	if t.a.Outcome == Reset && !t.a.Rerouted() {
		end = "" // the right pod did not help
	}
	often := ""
	if n := len(again) / 2; n > 1 {
		often = fmt.Sprintf("%d times ", n)
	}
	var facts []any
	for _, ev := range again {
		facts = append(facts, ev)
	}
	t.say(first.Time, facts, "%sthe client's next packet finds no entry: %s translates it afresh%s, to %s%s%s", often, first.Node,
		midStream(first), how, masqueraded(before, first), end)
}

// sticky tells whether a rule was met on a node that gives a client the backend it had before.
func sticky(e *evidence.Evidence, node string) bool {
	return slices.ContainsFunc(e.Rules[node], func(c dataplane.Counter) bool {
		return c.Packets > 0 && strings.Contains(c.Rule, "-m recent") && strings.Contains(c.Rule, "--rcheck")
	})
}

// stateText is the new entry's state as a conntrack line shows it.
func stateText(ev *evidence.EntryEvent) string {
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
	last := map[string]*peer.Report{} // the successful send before, by place
	failed := map[string]bool{}
	for _, r := range t.a.reports {
		before := last[r.At]
		if r.Err == nil && r.Call == peer.Send {
			last[r.At] = r
		}
		if r.Err == nil || failed[r.At] || r.Call == peer.Close && len(failed) > 0 {
			continue
		}
		failed[r.At] = true
		whose, errno := "the client's", peer.ErrnoText(r.Err)
		if r.Side == peer.Server {
			whose = r.At + "'s"
		}
		switch {
		case r.Call == peer.Send && before != nil && before.Time.Before(t.a.LastBreak):
			t.say(r.Time, on(before, r), "%s first send after the break already gets %s", whose, errno)
		case r.Call == peer.Send && before != nil:
			t.say(r.Time, on(before, r), "%s send before had returned success; this one gets %s", whose, errno)
		default:
			t.say(r.Time, on(r), "%s %s gets %s", whose, r.Call, errno)
		}
	}
}

// losses tells of messages that nobody was told are lost. Where a reset ends the connection, the one that drew it is no
// surprise. It rests on all that was sent and all that arrived.
func (t *teller) losses() {
	n := t.a.Lost()
	if n <= 0 || t.a.Outcome == Reset {
		return
	}
	var facts []any
	for _, r := range t.a.reports {
		if r.Err == nil && r.Bytes > 0 && (r.Side == peer.Client && r.Call == peer.Send || r.Side == peer.Server && r.Call == peer.Recv) {
			facts = append(facts, r)
		}
	}
	t.say(t.e.Ended, facts, "of the client's sends that returned success, %s never arrived at a server", Count(n, "message", "messages"))
}

// goesOn tells of the first message that arrives after all that was told, where nothing tells so already.
func (t *teller) goesOn() {
	if t.a.Outcome != Survived || t.a.Breaks > 0 || len(t.out) < 2 {
		return
	}
	last := slices.MaxFunc(t.out, func(a, b claim) int { return a.time.Compare(b.time) }).time
	for _, r := range t.a.reports {
		if r.Side == peer.Server && r.Call == peer.Recv && r.Bytes > 0 && r.Time.After(last) {
			t.say(r.Time, on(r), "the client's next message arrives at %s: the connection goes on", r.At)
			return
		}
	}
}

// astray tells who received what was meant for another.
func (t *teller) astray() {
	if t.a.Outcome != WrongBackend {
		return
	}
	var first *peer.Report
	for _, r := range t.a.reports {
		if r.Side != peer.Server || r.Call != peer.Recv || r.Bytes == 0 {
			continue
		}
		switch {
		case !t.e.IsPod(r.At):
			t.say(r.Time, on(r), "what the client sends arrives at %s, which is no backend of the service", r.At)
			return
		case first == nil:
			first = r
		case r.At != first.At:
			t.say(r.Time, on(first, r), "what the client sends arrives at %s, no longer at %s", r.At, first.At)
			return
		}
	}
}

// halfOpen tells of a server's socket that has outlived the connection. It rests on the last sample of that socket if
// that shows it established, or else on its state at the end, which is then an observation of its own.
func (t *teller) halfOpen() {
	if t.a.Peer != HalfOpen {
		return
	}
	open := t.a.openServer()
	var seen any = open
	for i := range t.e.Samples {
		if s := &t.e.Samples[i]; s.Flow == open.Flow && s.Side == open.Side && s.At == open.At {
			seen = open
			if s.State.String() == open.State {
				seen = s
			}
		}
	}
	t.say(t.e.Ended, on(seen), "the old backend does not know: the socket on %s is still ESTABLISHED (half-open)", open.At)
}
