package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/probe/packet"
)

// assemble makes the result of a run out of its evidence. It is pure.
func (s Scenario) assemble(e *evidence) *Result {
	ix := e.index()
	packets := e.followed()
	accounts := accountsOf(e, max(s.World.Connections, e.connections), ix, packets)
	r := &Result{
		Schema: SchemaVersion, Scenario: s.Name, Title: s.Title, Cure: s.Cure,
		Started: e.started, DurationS: e.since(e.ended),
		Service: s.serviceResult(),
		World:   e.world.places, Rules: ruleCounts(e), Saved: e.saved,
		Lost: e.lost, Missing: e.missing, Interrupted: e.interrupted, Programs: programRuns(e),
	}
	if s.TimeScale > 1 {
		r.TimeScale = s.TimeScale
	}
	r.count(accounts)
	if e.external && r.Cure == "" {
		r.Cure = advice(accounts)
	}
	s.judge(r, e, accounts)
	example := typical(accounts, s.Expect.Outcome)
	r.tell(e, ix, packets, accounts, example)
	r.Happened = summary(example, accounts)
	if r.Verdict == Pass {
		r.Reason = "as expected: " + r.Happened
	}
	return r
}

// count sums up what became of the connections.
func (r *Result) count(accounts []*account) {
	r.Summary = map[string]int{"connections": len(accounts)}
	for _, o := range slices.Concat(outcomes, []Outcome{HalfOpen}) {
		r.Summary[string(o)] = 0
	}
	for _, a := range accounts {
		r.Connections = append(r.Connections, a.Connection)
		r.Summary[string(a.Outcome)]++
		if a.Peer != "" {
			r.Summary[string(a.Peer)]++
		}
	}
}

// tell fills in all observations, and the account and the entries of the example.
func (r *Result) tell(e *evidence, ix index, packets []packet.Packet, accounts []*account, example *account) {
	comments := comments(e, ix, packets, accounts)
	r.Capture = Capture{Hops: e.hops, Packets: packets, Comments: comments}
	told := tell(e, ix, example, accounts)
	timeline := e.timeline(ix, packets, comments, lastStates(told))
	r.Timeline, r.Account = timeline.observations, sentences(e, told, timeline)
	for _, s := range r.Account {
		r.Cause = append(r.Cause, s.String())
	}
	r.Example, r.Entries = example.ID, example.entries(e)
}

// outcomes are those a connection as a whole can have, in the order of summaries.
var outcomes = []Outcome{Survived, Reset, Hang, Refused, Timeout, WrongBackend, Reconnected}

// judge compares the accounts with what is expected; where that fails and an alternative holds, with the alternative.
func (s Scenario) judge(r *Result, e *evidence, accounts []*account) {
	r.Expectations = s.Expect.checks(e, accounts, s.World.Backends)
	r.Verdict, r.Reason = conclude(e, r.Expectations)
	if e.interrupted { // what was not seen may have come, and what was good until now may not have stayed so
		for i := range r.Expectations {
			r.Expectations[i].Verdict, r.Expectations[i].Reason = Inconclusive, ""
		}
	}
	for _, a := range s.Expect.Alternatives {
		if r.Verdict != Fail {
			return
		}
		checks := a.Expect.checks(e, accounts, s.World.Backends)
		if v, reason := conclude(e, checks); v != Fail { // one in doubt leaves the whole in doubt
			checks = append(checks, Check{Text: "this kernel shows the alternative", Verdict: v, Reason: a.Reason})
			r.Expectations, r.Verdict, r.Reason = checks, v, reason
		}
	}
}

func (s Scenario) serviceResult() Service {
	svc := s.service()
	out := Service{Name: svc.String(), Address: svc.ClusterIP.String(), Port: int(svc.Port), Protocol: s.World.Service.Protocol}
	for _, ep := range svc.Endpoints {
		out.Backends = append(out.Backends, ep.String())
	}
	return out
}

// programRuns are the programs of the run, the client first.
func programRuns(e *evidence) []ProgramRun {
	var out []ProgramRun
	for _, p := range e.programs {
		one := ProgramRun{Side: string(p.side), At: p.at, Command: p.command, Ended: p.exit.String(), EndedAt: e.since(p.exit.Time)}
		switch {
		case !p.exit.Asked:
			code := p.exit.Code
			one.ExitCode = &code
		case !p.exit.Killed:
			one.Ended = "ran until it was ended"
		}
		out = append(out, one)
	}
	return out
}

// conclude sums the checks up: one failure is a failure, else one doubt is a doubt.
func conclude(e *evidence, checks []Check) (Verdict, string) {
	if e.interrupted {
		return Inconclusive, "the run was interrupted before its last step"
	}
	for _, v := range []Verdict{Fail, Inconclusive} {
		reasons := reasons(checks, v)
		if len(reasons) == 0 {
			continue
		}
		if e.unmet != "" {
			reasons = append(reasons, e.unmet)
		}
		return v, map[Verdict]string{Fail: "not as expected: ", Inconclusive: "cannot be told: "}[v] + strings.Join(reasons, "; ")
	}
	if e.unmet != "" {
		return Inconclusive, "cannot be told: " + e.unmet
	}
	return Pass, ""
}

// notWatched is why a check cannot be told whose source nobody watched.
const notWatched = " was not watched"

// reasons are those of the checks with that verdict, each with the check it is of. What several lack for the same reason
// is said once.
func reasons(checks []Check, v Verdict) []string {
	var out, unwatched []string
	resting := map[string]int{}
	for _, c := range checks {
		switch {
		case c.Verdict != v:
		case strings.HasSuffix(c.Reason, notWatched):
			if resting[c.Reason]++; resting[c.Reason] == 1 {
				unwatched = append(unwatched, c.Reason)
			}
		default:
			out = append(out, c.Text+": "+c.Reason)
		}
	}
	for _, reason := range unwatched {
		out = append(out, fmt.Sprintf("%s, which %s", reason, Count(resting[reason], "expectation rests on", "expectations rest on")))
	}
	return out
}

// typical is the connection that stands for the others: the first that was reset, or else the first that met another's
// server, or else the first that ended as expected if that is no survival, or else the first that did not survive, or else the first.
func typical(accounts []*account, expected Outcome) *account {
	for _, is := range []func(Outcome) bool{
		func(o Outcome) bool { return o == Reset },
		func(o Outcome) bool { return o == WrongBackend },
		func(o Outcome) bool { return o == expected && o != Survived },
		func(o Outcome) bool { return o != Survived },
		func(Outcome) bool { return true },
	} {
		if i := slices.IndexFunc(accounts, func(a *account) bool { return !a.aside && is(a.Outcome) }); i >= 0 {
			return accounts[i]
		}
	}
	return accounts[0]
}

// summary is the run in one sentence.
func summary(a *account, accounts []*account) string {
	text := string(a.Outcome)
	switch {
	case a.Outcome == Reconnected:
		text = fmt.Sprintf("the connection was lost (%s after %s), and the client's program opened a new one by itself",
			a.lostPhrase(), Count(a.Breaks, "break", "breaks"))
	case a.Outcome == Reset && a.rerouted():
		text = fmt.Sprintf("after %s the flow was re-routed from %s to %s, which answered RST; the %s got %s",
			Count(a.Breaks, "loss of its entry", "losses of its entry"), a.Backends[0], a.Backends[len(a.Backends)-1], a.NoticedBy, a.Errno)
	case a.Outcome == Reset && a.Breaks > 0:
		text = fmt.Sprintf("the %s got %s after %s", a.NoticedBy, a.Errno, Count(a.Breaks, "loss of the entry", "losses of the entry"))
	case a.Outcome == Reset && a.Errno != "":
		text = fmt.Sprintf("the %s got %s, although no entry was lost", a.NoticedBy, a.Errno)
	case a.Outcome == Survived && a.Breaks > 0:
		text = fmt.Sprintf("the connection survived %s", Count(a.Breaks, "loss of its entry", "losses of its entry"))
	case a.Outcome == Hang && a.lost() <= 0:
		text = "the connection hangs: what was sent last is never acknowledged"
	case a.Outcome == Hang:
		text = "the connection hangs: sends succeed, nothing arrives"
	}
	if len(accounts) > 1 {
		var counts []string
		for _, o := range outcomes {
			n := 0
			for _, other := range accounts {
				if other.Outcome == o {
					n++
				}
			}
			if n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n, o))
			}
		}
		return fmt.Sprintf("of %d connections %s", len(accounts), strings.Join(counts, ", "))
	}
	return text
}
