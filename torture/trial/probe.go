package trial

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/verdict"
	"github.com/ctsim/ctsim/torture/oracle"
)

// probe is an expectation put to the judge of a run, and what he may say of it. He may always say that it cannot be told.
type probe struct {
	expect           string
	plan             *scenario.Plan
	mayPass, mayFail bool
	// atom is the check that is asked about, by its place; -1 is the whole verdict.
	atom int
	// change is done to the evidence before; nil is nothing. With again the accounts are made anew of what it leaves.
	change func(*evidence.Evidence)
	again  bool
	kind   string
	// follows is true if it is bound to be wrong where an account is: that is one finding, not two.
	follows bool
}

// judged is the finding if the judge has said what he may not.
func (p *probe) judged(e *evidence.Evidence, accounts []*account.Account) (Finding, bool) {
	if p.change != nil {
		changed := *e
		p.change(&changed)
		e = &changed
		if p.again {
			accounts = accountsOf(p.plan, e)
		}
	}
	checks, said, _ := verdict.Judge(p.plan, e, accounts)
	if p.atom >= 0 && p.atom < len(checks) {
		said = checks[p.atom].Verdict
	}
	if said == verdict.Pass && !p.mayPass || said == verdict.Fail && !p.mayFail {
		return Finding{p.kind + ": " + string(said), fmt.Sprintf("expect: %s\n  the verdict is %s, and that may not be (%s)", p.expect, said, p.kind)}, true
	}
	return Finding{}, false
}

// outcomes are the language's words that are tried one by one.
var outcomes = []string{"survived", "closed", "reset", "hang", "refused", "timeout", "wrong-backend"}

// prober collects the probes that the language takes.
type prober struct {
	t   *Trial
	out []probe
}

func (t *Trial) allProbes() []probe {
	p := &prober{t: t}
	if len(t.opinions) == 0 {
		return nil
	}
	p.ofOutcome()
	p.ofNobody()
	p.ofErrors()
	p.ofMessages()
	p.ofWay()
	p.ofPackets()
	p.ofBreaks()
	return p.out
}

// put adds a probe; an expectation that the language refuses is no probe, and rightly so.
func (p *prober) put(one probe, format string, args ...any) {
	one.expect = fmt.Sprintf(format, args...)
	c := p.t.Case
	c.Expect = one.expect
	var err error
	if one.plan, err = planOf(c.YAML()); err == nil {
		p.out = append(p.out, one)
	}
}

// all tells whether something holds of every connection.
func (p *prober) all(is func(oracle.Opinion) bool) bool {
	return !slices.ContainsFunc(p.t.opinions, func(o oracle.Opinion) bool { return !is(o) })
}

// ofOutcome tries every outcome, as a demand on all and as a share.
func (p *prober) ofOutcome() {
	for _, word := range outcomes {
		allowed := p.all(func(o oracle.Opinion) bool { return o.Allows(word) })
		certain := p.all(func(o oracle.Opinion) bool { return o.Allows(word) && len(o.Possible) == 1 })
		someone := slices.ContainsFunc(p.t.opinions, func(o oracle.Opinion) bool { return o.Allows(word) && len(o.Possible) == 1 })
		p.put(probe{kind: "verdict on an outcome", follows: true, mayPass: allowed, mayFail: !certain, atom: -1}, "{outcome: %s}", word)
		p.put(probe{kind: "verdict on a share of 1", follows: true, mayPass: allowed, mayFail: true, atom: -1}, "{share: {of: %s, probability: \"1\"}}", word)
		p.put(probe{kind: "verdict on a share of 0", follows: true, mayPass: !someone, mayFail: true, atom: -1}, "{share: {of: %s, probability: \"0\"}}", word)
		p.put(probe{kind: "verdict on an interrupted run", mayFail: true, atom: -1,
			change: func(e *evidence.Evidence) { e.Interrupted = true }}, "{outcome: %s}", word)
		p.put(probe{kind: "verdict on a connection by number", follows: true, mayPass: p.t.opinions[0].Allows(word), mayFail: true, atom: 1},
			"{outcome: survived, connections: [{id: %d, outcome: %s}]}", p.t.opinions[0].ID, word)
	}
}

// ofNobody tries expectations that turn out to cover no connection: beside a share they speak of those that ended in its
// outcome, and here none did. What covers nobody whatever happens, the language refuses.
func (p *prober) ofNobody() {
	for _, word := range outcomes {
		if slices.ContainsFunc(p.t.opinions, func(o oracle.Opinion) bool { return o.Allows(word) }) {
			continue
		}
		for _, claim := range []string{"rerouted: false", "rerouted: true", "lost_messages: 0", "noticed_by: client", "peer: half-open",
			"failed_send: 1", "errno: " + errnoOf[word], "sockets: [{side: client, state: ESTABLISHED}]"} {
			p.put(probe{kind: "verdict on nobody", follows: true, atom: 1}, "{share: {of: %s, probability: \"1\"}, %s}", word, claim)
		}
	}
}

// errnoOf is an errno that goes with an outcome.
var errnoOf = map[string]string{"reset": "ECONNRESET", "timeout": "ETIMEDOUT", "refused": "ECONNREFUSED"}

// ofErrors tries errnos and who noticed.
func (p *prober) ofErrors() {
	gave := func(is func(oracle.Error) bool) bool {
		return p.all(func(o oracle.Opinion) bool { return slices.ContainsFunc(o.Errors, is) })
	}
	for name, outcome := range map[string]string{"ECONNRESET": "reset", "EPIPE": "reset", "ETIMEDOUT": "timeout", "EHOSTUNREACH": "timeout", "ECONNREFUSED": "refused"} {
		p.put(probe{kind: "verdict on an errno", follows: true, mayFail: true, atom: 1, mayPass: gave(func(e oracle.Error) bool { return e.Errno == name })},
			"{outcome: %s, errno: %s}", outcome, name)
	}
	for _, side := range []string{"client", "server"} {
		p.put(probe{kind: "verdict on who noticed", follows: true, mayFail: true, atom: 1, mayPass: gave(func(e oracle.Error) bool { return e.OfClient == (side == "client") })},
			"{outcome: reset, noticed_by: %s}", side)
	}
	half := p.all(func(o oracle.Opinion) bool { return o.ServerOpen })
	leftBehind := p.all(func(o oracle.Opinion) bool { return o.ServerOpen && o.ClientReset })
	p.put(probe{kind: "verdict on a peer left behind", mayPass: half, mayFail: !leftBehind, atom: 1}, "{outcome: reset, peer: half-open}")
}

// ofMessages tries how many messages were lost.
func (p *prober) ofMessages() {
	counted := p.all(func(o oracle.Opinion) bool { return o.Lost >= 0 })
	if !counted {
		return
	}
	for n := range 4 {
		right := p.all(func(o oracle.Opinion) bool { return o.Lost == n })
		p.put(probe{kind: "verdict on lost messages", mayPass: right, mayFail: !right, atom: 1}, "{outcome: hang, lost_messages: %d}", n)
	}
}

// ofWay takes the same evidence with the last message still on its way: what has survived has not then.
func (p *prober) ofWay() {
	if p.t.evidence.UDP || !p.all(func(o oracle.Opinion) bool { return o.Allows("survived") }) {
		return
	}
	p.put(probe{kind: "verdict on a message on its way", mayFail: true, atom: -1, again: true, change: func(e *evidence.Evidence) {
		e.Last = slices.Clone(e.Last)
		for i := range e.Last {
			e.Last[i].Unacked, e.Last[i].SendQueue = 1, peer.MessageSize
		}
	}}, "{outcome: survived}")
}

// ofPackets tries whether a RST was seen where the client is, and whether that can be told when packets were lost or nobody
// watched.
func (p *prober) ofPackets() {
	if slices.Contains(p.t.evidence.Nodes, p.t.evidence.ClientAt) || p.t.evidence.Lost["packet"] > 0 {
		return
	}
	seen := p.all(func(o oracle.Opinion) bool { return o.ResetSeen })
	none := p.all(func(o oracle.Opinion) bool { return !o.ResetSeen })
	const once, never = "{outcome: hang, packets: [{at: client, flag: RST}]}", "{outcome: hang, packets: [{at: client, flag: RST, never: true}]}"
	p.put(probe{kind: "verdict on a RST", mayPass: seen, mayFail: !seen, atom: 1}, once)
	p.put(probe{kind: "verdict on a RST that must not be", mayPass: none, mayFail: !none, atom: 1}, never)
	p.put(probe{kind: "verdict on an absence although packets were lost", mayFail: true, atom: 1,
		change: func(e *evidence.Evidence) { e.Lost = map[string]int{"packet": 1} }}, never)
	p.put(probe{kind: "verdict on what nobody watched", mayFail: false, atom: 1,
		change: func(e *evidence.Evidence) { e.Unwatched = map[evidence.Source]bool{evidence.FromPackets: true} }}, never)
}

// ofBreaks tries how often entries were destroyed, where they led, and which send failed.
func (p *prober) ofBreaks() {
	if p.t.evidence.Lost["conntrack"] > 0 {
		return
	}
	most := 1000
	for _, o := range p.t.opinions {
		most = min(most, o.Broken)
	}
	p.put(probe{kind: "verdict on breaks", mayFail: true, atom: 1}, "{outcome: hang, breaks_at_least: %d}", most+1)
	if most > 0 {
		p.put(probe{kind: "verdict on breaks", mayPass: true, atom: 1}, "{outcome: hang, breaks_at_least: %d}", most)
	}
	if p.all(func(o oracle.Opinion) bool { return o.Moved != nil }) {
		moved := p.all(func(o oracle.Opinion) bool { return *o.Moved })
		stayed := p.all(func(o oracle.Opinion) bool { return !*o.Moved })
		p.put(probe{kind: "verdict on re-routing", mayPass: moved, mayFail: true, atom: 1}, "{outcome: hang, rerouted: true}")
		p.put(probe{kind: "verdict on staying", mayPass: stayed, mayFail: true, atom: 1}, "{outcome: hang, rerouted: false}")
	}
	for n := 1; n < 6; n++ {
		right := p.all(func(o oracle.Opinion) bool { return p.failedSend(o) == n })
		p.put(probe{kind: "verdict on the send that fails", mayPass: right, mayFail: !right, atom: 1}, "{outcome: hang, failed_send: %d}", n)
	}
}

// failedSend counts the client's sends after the last break, as the programs reported them: the number of the first that failed,
// 0 if none did.
func (p *prober) failedSend(o oracle.Opinion) int {
	n := 0
	for _, r := range p.t.evidence.Reports {
		if r.Connection != o.ID || r.Side != peer.Client || r.Call != peer.Send || !r.Time.After(o.LastBroken) {
			continue
		}
		n++
		if r.Err != nil {
			return n
		}
	}
	return 0
}
