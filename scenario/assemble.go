package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// assemble makes the result of a run out of its evidence. It is pure.
func assemble(p *Plan, e *evidence) *Result {
	ix := e.index()
	packets := e.followed()
	stories := e.stories(max(p.Connections, e.connections), ix, packets)
	r := &Result{
		Schema: SchemaVersion, Scenario: p.Scenario, Title: p.Title, Cure: p.Cure,
		Started: e.started, DurationS: e.since(e.ended),
		Service: serviceResult(p),
		World:   p.drawn(e), Rules: e.ruleCounts(p.NodeNames()), Saved: e.saved,
		Lost: e.lost, Missing: e.missing, Interrupted: e.interrupted, Programs: e.programRuns(),
		Summary: map[string]int{"connections": len(stories)},
	}
	if p.TimeScale > 1 {
		r.TimeScale = p.TimeScale
	}
	for _, o := range slices.Concat(outcomes, []Outcome{HalfOpen}) {
		r.Summary[string(o)] = 0
	}
	for _, st := range stories {
		r.Connections = append(r.Connections, st.Connection)
		r.Summary[string(st.Outcome)]++
		if st.Peer != "" {
			r.Summary[string(st.Peer)]++
		}
	}
	if p.ExternalClient() && r.Cure == "" {
		r.Cure = advice(stories)
	}
	comments := e.comments(ix, packets, stories)
	r.Timeline = e.timeline(ix, packets, comments)
	r.Capture = Capture{Hops: e.hops, Packets: packets, Comments: comments}
	p.judge(r, e, stories)
	example := typical(stories, p.Expect.Outcome)
	r.Cause, r.Example, r.Entries = e.cause(example), example.ID, e.entries(example)
	if r.Verdict == Pass {
		r.Reason = "as expected: " + e.summary(example, stories)
	}
	return r
}

// outcomes are those a connection as a whole can have, in the order of summaries.
var outcomes = []Outcome{Survived, Reset, Hang, Refused, Timeout, WrongBackend, Reconnected}

// judge compares the stories with what is expected; where that fails and an alternative holds, with the alternative.
func (p *Plan) judge(r *Result, e *evidence, stories []*story) {
	r.Expectations = p.Expect.checks(e, stories, len(p.Servers))
	r.Verdict, r.Reason = conclude(e, r.Expectations)
	if e.interrupted { // what was not seen may have come, and what was good until now may not have stayed so
		for i := range r.Expectations {
			r.Expectations[i].Verdict, r.Expectations[i].Reason = Inconclusive, ""
		}
	}
	for _, a := range p.Expect.Alternatives {
		if r.Verdict != Fail {
			return
		}
		checks := a.Expect.checks(e, stories, len(p.Servers))
		if v, reason := conclude(e, checks); v != Fail { // one in doubt leaves the whole in doubt
			checks = append(checks, Check{Text: "this kernel shows the alternative", Verdict: v, Reason: a.Reason})
			r.Expectations, r.Verdict, r.Reason = checks, v, reason
		}
	}
}

func serviceResult(p *Plan) Service {
	svc := p.Service
	out := Service{Name: svc.String(), Address: svc.ClusterIP.String(), Port: int(svc.Port), Protocol: p.Protocol()}
	for _, ep := range svc.Endpoints {
		out.Backends = append(out.Backends, ep.String())
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
		out = append(out, fmt.Sprintf("%s, which %s", reason, times(resting[reason], "expectation rests on", "expectations rest on")))
	}
	return out
}

// typical is the connection that stands for the others: the first that was reset, or else the first that met another's
// server, or else the first that ended as expected if that is no survival, or else the first that did not survive, or else the first.
func typical(stories []*story, expected Outcome) *story {
	for _, is := range []func(Outcome) bool{
		func(o Outcome) bool { return o == Reset },
		func(o Outcome) bool { return o == WrongBackend },
		func(o Outcome) bool { return o == expected && o != Survived },
		func(o Outcome) bool { return o != Survived },
		func(Outcome) bool { return true },
	} {
		if i := slices.IndexFunc(stories, func(s *story) bool { return !s.aside && is(s.Outcome) }); i >= 0 {
			return stories[i]
		}
	}
	return stories[0]
}

// summary is the passed run in one sentence.
func (e *evidence) summary(s *story, stories []*story) string {
	text := string(s.Outcome)
	switch {
	case s.Outcome == Reconnected:
		text = fmt.Sprintf("the connection was lost (%s after %s), and the client's program opened a new one by itself",
			s.lostPhrase(), times(s.Breaks, "break", "breaks"))
	case s.Outcome == Reset && s.rerouted():
		text = fmt.Sprintf("after %s the flow was re-routed from %s to %s, which answered RST; the %s got %s",
			times(s.Breaks, "loss of its entry", "losses of its entry"), s.Backends[0], s.Backends[len(s.Backends)-1], s.NoticedBy, s.Errno)
	case s.Outcome == Reset && s.Breaks > 0:
		text = fmt.Sprintf("the %s got %s after %s", s.NoticedBy, s.Errno, times(s.Breaks, "loss of the entry", "losses of the entry"))
	case s.Outcome == Reset && s.Errno != "":
		text = fmt.Sprintf("the %s got %s, although no entry was lost", s.NoticedBy, s.Errno)
	case s.Outcome == Survived && s.Breaks > 0:
		text = fmt.Sprintf("the connection survived %s", times(s.Breaks, "loss of its entry", "losses of its entry"))
	case s.Outcome == Hang && s.lost() <= 0:
		text = "the connection hangs: what was sent last is never acknowledged"
	case s.Outcome == Hang:
		text = "the connection hangs: sends succeed, nothing arrives"
	}
	if len(stories) > 1 {
		var counts []string
		for _, o := range outcomes {
			n := 0
			for _, other := range stories {
				if other.Outcome == o {
					n++
				}
			}
			if n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n, o))
			}
		}
		return fmt.Sprintf("of %d connections %s", len(stories), strings.Join(counts, ", "))
	}
	return text
}

func times(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
