package result

import (
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// New makes the result of a run of a plan out of its evidence, wherever that comes from. It is pure.
func New(p *scenario.Plan, e *evidence.Evidence) *Result {
	ix := e.Index()
	packets := e.Followed()
	accounts := account.AccountsOf(e, max(p.Connections, e.Connections), ix, packets)
	r := &Result{
		Schema: SchemaVersion, Scenario: p.Scenario, Title: p.Title, Cure: p.Cure,
		Kernel: e.Release, Rootless: e.Rootless, Phases: e.Phases,
		Started: e.Started, DurationS: e.Since(e.Ended),
		Service: serviceResult(p),
		World:   e.World.Places, Rules: account.RuleCounts(e), Saved: e.Saved,
		Lost: e.Lost, Missing: e.Missing, Interrupted: e.Interrupted, Programs: programRuns(e),
	}
	if p.TimeScale > 1 {
		r.TimeScale = p.TimeScale
	}
	r.Expectations, r.Verdict, r.Reason = verdict.Judge(p, e, accounts)
	if r.Verdict != verdict.Pass {
		r.Cure = "" // it is one for what was expected
	}
	if e.External && r.Cure == "" {
		r.Cure = account.Advice(e, accounts)
	}
	example := example(p, e, accounts, r.Verdict)
	recount(r, e, ix, packets, accounts, example)
	count(r, accounts) // once the items of their balances have their places in the timeline
	r.Happened = account.Summary(example, accounts)
	if r.Verdict == verdict.Pass {
		r.Reason = "as expected: " + r.Happened
		for _, c := range r.Expectations {
			if c.Share != nil {
				r.Reason += "; " + c.Reason // a share is nothing without what chance allows
			}
		}
	}
	return r
}

// example is the connection that the claim is about: of a failure the first that is not as expected, of a share the first
// of those that are counted, or else the typical one.
func example(p *scenario.Plan, e *evidence.Evidence, accounts []*account.Account, v verdict.Verdict) *account.Account {
	listed := map[int]account.Outcome{}
	for _, c := range p.Expect.Connections {
		listed[c.ID] = c.Outcome
	}
	for _, a := range accounts {
		want, is := listed[a.ID], false
		if want == "" {
			want = p.Expect.Outcome
		}
		switch {
		case v == verdict.Fail:
			is = want != "" && a.Outcome != want && a.Outcome != account.Unknown && a.Untested == "" && !otherwise(p, e, a)
		case p.Expect.Share != nil:
			is = a.Outcome == p.Expect.Share.Of && a.Outcome != account.Survived
		}
		if is && !a.Aside {
			return a
		}
	}
	return account.Typical(accounts, p.Expect.Outcome)
}

// otherwise tells whether a program's connection ended as an alternative allows: of a failure it is no example.
func otherwise(p *scenario.Plan, e *evidence.Evidence, a *account.Account) bool {
	return e.External && slices.ContainsFunc(p.Expect.Alternatives, func(x scenario.Alternative) bool { return x.Expect.Outcome == a.Outcome })
}

// count sums up what became of the connections.
func count(r *Result, accounts []*account.Account) {
	r.Summary = map[string]int{"connections": len(accounts)}
	for _, o := range slices.Concat(account.Outcomes, []account.Outcome{account.HalfOpen}) {
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

// recount fills in all observations, and the account and the entries of the example.
func recount(r *Result, e *evidence.Evidence, ix evidence.Index, packets []packet.Packet, accounts []*account.Account, example *account.Account) {
	comments := account.Comments(e, ix, packets, accounts)
	r.Capture = Capture{Hops: e.Hops, Packets: packets, Comments: comments}
	told := account.Tell(e, ix, example, accounts)
	timeline := e.Timeline(ix, packets, comments, account.States(told, accounts))
	account.PlaceItems(accounts, timeline)
	r.Timeline, r.Account = timeline.Observations, account.Sentences(e, told, timeline)
	for _, s := range r.Account {
		r.Cause = append(r.Cause, s.String())
	}
	r.Example, r.Entries = example.ID, example.Entries(e)
}

func serviceResult(p *scenario.Plan) Service {
	svc := p.Service
	out := Service{Name: svc.String(), Address: svc.ClusterIP.String(), Port: int(svc.Port), Protocol: p.Protocol()}
	for _, ep := range svc.Endpoints {
		out.Backends = append(out.Backends, ep.String())
	}
	return out
}

// programRuns are the programs of the run, the client first.
func programRuns(e *evidence.Evidence) []ProgramRun {
	var out []ProgramRun
	for _, p := range e.Programs {
		one := ProgramRun{Side: string(p.Side), At: p.At, Command: p.Command, Ended: p.Exit.String(), EndedAt: e.Since(p.Exit.Time)}
		switch {
		case !p.Exit.Asked:
			code := p.Exit.Code
			one.ExitCode = &code
		case !p.Exit.Killed:
			one.Ended = "ran until it was ended"
		}
		out = append(out, one)
	}
	return out
}
