package scenario

import (
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
)

// assemble makes the result of a run out of its evidence. It is pure.
func assemble(s Scenario, e *evidence) *Result {
	ix := e.index()
	packets := e.followed()
	accounts := accountsOf(e, max(s.World.Connections, e.connections), ix, packets)
	r := &Result{
		Schema: SchemaVersion, Scenario: s.Name, Title: s.Title, Cure: s.Cure,
		Started: e.started, DurationS: e.since(e.ended),
		Service: serviceResult(s),
		World:   e.world.places, Rules: ruleCounts(e), Saved: e.saved,
		Lost: e.lost, Missing: e.missing, Interrupted: e.interrupted, Programs: programRuns(e),
	}
	if s.TimeScale > 1 {
		r.TimeScale = s.TimeScale
	}
	count(r, accounts)
	if e.external && r.Cure == "" {
		r.Cure = advice(accounts)
	}
	r.Expectations, r.Verdict, r.Reason = judge(s, e, accounts)
	example := typical(accounts, s.Expect.Outcome)
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

func serviceResult(s Scenario) Service {
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
