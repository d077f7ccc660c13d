package scenario

import (
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
)

// NewResult makes the result of a run out of its evidence. It is pure.
func NewResult(p *Plan, e *evidence) *Result {
	ix := e.index()
	packets := e.followed()
	accounts := accountsOf(e, max(p.Connections, e.connections), ix, packets)
	r := &Result{
		Schema: SchemaVersion, Scenario: p.Scenario, Title: p.Title, Cure: p.Cure,
		Kernel: e.release, Rootless: e.rootless, Phases: e.phases,
		Started: e.started, DurationS: e.since(e.ended),
		Service: serviceResult(p),
		World:   e.world.places, Rules: ruleCounts(e), Saved: e.saved,
		Lost: e.lost, Missing: e.missing, Interrupted: e.interrupted, Programs: programRuns(e),
	}
	if p.TimeScale > 1 {
		r.TimeScale = p.TimeScale
	}
	count(r, accounts)
	if e.external && r.Cure == "" {
		r.Cure = advice(accounts)
	}
	r.Expectations, r.Verdict, r.Reason = judge(p, e, accounts)
	example := typical(accounts, p.Expect.Outcome)
	recount(r, e, ix, packets, accounts, example)
	r.Happened = summary(example, accounts)
	if r.Verdict == Pass {
		r.Reason = "as expected: " + r.Happened
	}
	return r
}

// count sums up what became of the connections.
func count(r *Result, accounts []*account) {
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

// recount fills in all observations, and the account and the entries of the example.
func recount(r *Result, e *evidence, ix index, packets []packet.Packet, accounts []*account, example *account) {
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

func serviceResult(p *Plan) Service {
	svc := p.Service
	out := Service{Name: svc.String(), Address: svc.ClusterIP.String(), Port: int(svc.Port), Protocol: p.Protocol()}
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
