package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/strictyaml"
)

// checkExpect reports what is expected of nobody, and what can never be seen together. What is left, and turns out to
// cover nobody when it has run, is inconclusive.
func (s Scenario) checkExpect(p *checks) {
	if !s.opens() && len(s.Steps) > 0 {
		p.add("expect", "add a step connect", "no step opens a connection: this would be expected of nobody")
	}
	s.checkOne(p, "expect", s.Expect)
	for i, a := range s.Expect.Alternatives {
		s.checkOne(p, fmt.Sprintf("expect.alternatives[%d].expect", i), a.Expect)
	}
}

// opens tells whether any step opens a connection.
func (s Scenario) opens() bool {
	found := s.externalClient() // that start-client is there is checked elsewhere
	s.Steps.Walk(func(step Step) {
		if _, ok := step.Verb.(*Connect); ok {
			found = true
		}
	})
	return found
}

// checkOne checks one expectation, the scenario's own or an alternative, which stands at that field.
func (s Scenario) checkOne(p *checks, field string, x Expect) {
	for i, ev := range x.Events {
		if len(ev.Sequence)+len(ev.Never) == 0 {
			p.add(fmt.Sprintf("%s.events[%d]", field, i), "", "want sequence or never: this expects nothing")
		}
	}
	for _, on := range x.places() {
		if !slices.Contains(s.nodeNames(), on) {
			p.add(field, strictyaml.DidYouMean(on, s.nodeNames()), "%q is no node of this world, want one of %s", on, strings.Join(s.nodeNames(), ", "))
		}
	}
	s.checkExecs(p, field, x)
	rest, known := s.rest(p, field, x)
	empty := known && rest == 0 && len(x.Connections) > 0
	if both := x.Outcome != "" && x.Share != nil; both || x.Outcome == "" && x.Share == nil && !empty {
		p.add(field, "", "want either outcome or share")
	}
	if empty {
		for _, name := range x.ofConnections() {
			p.add(field+"."+name, "leave it out, or a connection", "this is expected of nobody: all connections are listed in connections")
		}
		return
	}
	if x.Share != nil {
		s.checkShare(p, field+".share", *x.Share, rest, known)
	}
	s.checkTogether(p, field, x)
}

// rest is how many connections there are at most that are not listed, and checks those that are. It is not known of a
// program that opens as many as it likes.
func (s Scenario) rest(p *checks, field string, x Expect) (n int, known bool) {
	known = !s.externalClient()
	n = s.Steps.opened(s.World.Connections, func(Step, int) {})
	all := n
	seen := map[int]bool{}
	for i, c := range x.Connections {
		at := fmt.Sprintf("%s.connections[%d]", field, i)
		switch {
		case seen[c.ID]:
			p.add(at+".id", "", "connection %d is listed twice", c.ID)
		case known && c.ID > all:
			p.add(at+".id", "", "there is no connection %d, only %d", c.ID, all)
		default:
			n--
		}
		seen[c.ID] = true
		s.checkErrno(p, at, c.Errno)
		s.contradictions(p, at, c.Outcome, claims{errno: c.Errno, noticed: c.NoticedBy != ""})
	}
	return n, known
}

// ofConnections are the fields that are set and speak of every connection that is not listed.
func (x Expect) ofConnections() []string {
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"outcome", x.Outcome != ""}, {"share", x.Share != nil}, {"errno", x.Errno != ""}, {"noticed_by", x.NoticedBy != ""},
		{"failed_send", x.FailedSend != 0}, {"rerouted", x.Rerouted != nil}, {"peer", x.Peer != ""},
		{"breaks_at_least", x.Breaks != 0}, {"lost_messages", x.Lost != nil}, {"events", len(x.Events) > 0},
		{"packets", len(x.Packets) > 0}, {"sockets", len(x.Sockets) > 0}} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// checkShare refuses a share that could not tell right from wrong.
func (s Scenario) checkShare(p *checks, field string, x ShareCheck, n int, known bool) {
	if !known || x.Tells(n, s.World.Backends) {
		return
	}
	low, high := x.Allowed(n, s.World.Backends)
	hint := fmt.Sprintf("no number up to %d could", maxConnections)
	if enough := x.enough(s.World.Backends); enough <= maxConnections {
		hint = fmt.Sprintf("%d connections could: set world.connections, or --connections", enough+s.World.Connections-n)
	}
	p.add(field, hint, "%d connections cannot tell a share of %.3g from chance: %d to %d of them may end so in all but one in a million runs",
		n, x.probability(s.World.Backends), low, high)
}

// checkTogether refuses what can never be seen together, and what the steps cannot bring about.
func (s Scenario) checkTogether(p *checks, field string, x Expect) {
	s.checkErrno(p, field, x.Errno)
	outcome := x.Outcome
	if x.Share != nil {
		outcome = x.Share.Of
		if x.Share.probability(s.World.Backends) == 0 {
			for _, name := range x.ofConnections() {
				if slices.Contains(scoped, name) {
					p.add(field+"."+name, "", "with share this speaks of the connections that end as %s, and these are none", outcome)
				}
			}
		}
	}
	s.contradictions(p, field, outcome, claims{x.Errno, x.NoticedBy != "", x.FailedSend != 0, x.Peer != ""})
	if s.externalClient() {
		return
	}
	sends := s.Steps.sends()
	if x.FailedSend > sends {
		p.add(field+".failed_send", "", "the client sends %s in all", account.Count(sends, "message", "messages"))
	}
	if x.Lost != nil && *x.Lost > sends {
		p.add(field+".lost_messages", "", "the client sends %s in all", account.Count(sends, "message", "messages"))
	}
}

// checkErrno refuses what is the name of no error.
func (s Scenario) checkErrno(p *checks, field, errno string) {
	if errno != "" && !slices.Contains(account.Errnos, errno) {
		p.add(field+".errno", strictyaml.DidYouMean(errno, account.Errnos), "%s is the name of no error", errno)
	}
}

// claims are what an expectation says beside the outcome.
type claims struct {
	errno                     string
	noticed, failedSend, peer bool
}

// outcomeOf are the outcomes that the first error an application meets decides.
var outcomeOf = map[string]account.Outcome{
	"ECONNREFUSED": account.Refused, "ECONNRESET": account.Reset, "EPIPE": account.Reset,
	"ETIMEDOUT": account.Timeout, "EHOSTUNREACH": account.Timeout, "ENETUNREACH": account.Timeout,
}

// contradictions refuses what does not go with an outcome. A UDP socket lives on after an error, so nothing is said of
// it.
func (s Scenario) contradictions(p *checks, field string, outcome account.Outcome, c claims) {
	if s.World.Service.Protocol == "UDP" {
		return
	}
	decided := []account.Outcome{account.Refused, account.Reset, account.Timeout}
	is := outcomeOf[c.errno]
	switch {
	case c.errno != "" && (outcome == account.Survived || outcome == account.Hang):
		p.add(field+".errno", "", "a connection that ends as %s meets no error: both can never be seen", outcome)
	case is != "" && is != outcome && slices.Contains(decided, outcome):
		p.add(field+".errno", "", "a connection whose first error is %s ends as %s, not as %s: both can never be seen", c.errno, is, outcome)
	}
	if outcome != account.Survived {
		return
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"noticed_by", c.noticed}, {"failed_send", c.failedSend}, {"peer", c.peer}} {
		if f.set {
			p.add(field+"."+f.name, "", "in a connection that survives nothing fails: both can never be seen")
		}
	}
}

// sends is how often the client speaks at most.
func (steps Steps) sends() int {
	n := 0
	for _, step := range steps {
		switch v := step.Verb.(type) {
		case *Send:
			n += btoi(v.From != "server")
		case *Repeat:
			n += v.Rounds() * v.Steps.sends()
		}
	}
	return n
}
