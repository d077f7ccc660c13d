package scenario

import (
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/evidence/account"
)

// Atom is one single expectation: the smallest thing that is seen or is not. Of each the words stand here, for
// descriptions and verdicts alike; whether it was seen is for the verdict.
type Atom interface {
	// Text is the expectation in words; backends is how many server pods there are.
	Text(backends int) string
}

// The atoms that are one field of Expect. The checks of lists (PacketCheck, RuleCheck, SocketCheck, ConnectionCheck) and
// ShareCheck are atoms themselves.
type (
	// OutcomeAtom is what becomes of a connection.
	OutcomeAtom account.Outcome
	// ErrnoAtom is the first error an application meets, NoticedByAtom the side that meets it.
	ErrnoAtom     string
	NoticedByAtom string
	// FailedSendAtom is the send after the break that fails first.
	FailedSendAtom int
	// ReroutedAtom tells whether the last entry leads to another backend than the first.
	ReroutedAtom bool
	// PeerAtom is what is left of the old backend's socket.
	PeerAtom account.Outcome
	// LostAtom is how many of the client's messages never arrive, LostAnswersAtom how many of the servers', BreaksAtom how
	// often an entry is destroyed at least.
	LostAtom        int
	LostAnswersAtom int
	BreaksAtom      int
	// SequenceAtom is conntrack events that a node shows in this order, NeverAtom one that it never shows.
	SequenceAtom struct {
		On     string
		Events []EventPattern
	}
	NeverAtom struct {
		On    string
		Event EventPattern
	}
)

// Atoms are all single expectations, in the order in which they are told.
func (x Expect) Atoms() []Atom {
	var out []Atom
	if x.Share != nil {
		out = append(out, *x.Share)
	} else if x.Outcome != "" || len(x.Connections) == 0 { // without it all connections are listed
		out = append(out, OutcomeAtom(x.Outcome))
	}
	for _, field := range []struct {
		set  bool
		atom func() Atom
	}{
		{x.Errno != "", func() Atom { return ErrnoAtom(x.Errno) }},
		{x.NoticedBy != "", func() Atom { return NoticedByAtom(x.NoticedBy) }},
		{x.FailedSend > 0, func() Atom { return FailedSendAtom(x.FailedSend) }},
		{x.Rerouted != nil, func() Atom { return ReroutedAtom(*x.Rerouted) }},
		{x.Peer != "", func() Atom { return PeerAtom(x.Peer) }},
		{x.Lost != nil, func() Atom { return LostAtom(*x.Lost) }},
		{x.Unanswered != nil, func() Atom { return LostAnswersAtom(*x.Unanswered) }},
		{x.Breaks > 0, func() Atom { return BreaksAtom(x.Breaks) }},
	} {
		if field.set {
			out = append(out, field.atom())
		}
	}
	for _, ev := range x.Events {
		if len(ev.Sequence) > 0 {
			out = append(out, SequenceAtom{ev.On, ev.Sequence})
		}
		for _, p := range ev.Never {
			out = append(out, NeverAtom{ev.On, p})
		}
	}
	out = appendAtoms(out, x.Packets)
	out = appendAtoms(out, x.Rules)
	out = appendAtoms(out, x.Sockets)
	out = appendAtoms(out, x.Exec)
	return appendAtoms(out, x.Connections)
}

func appendAtoms[A Atom](out []Atom, more []A) []Atom {
	for _, a := range more {
		out = append(out, a)
	}
	return out
}

// Whom says which connections an expectation covers: those that Of ends in, if it is set, of all that are not listed;
// none if it covers a node, a command, or one connection that it names itself.
type Whom struct {
	// None is true if it is about no set of connections.
	None bool
	// Rest is true if other connections are listed.
	Rest bool
	// Of is the outcome of a share if only connections that end in it are meant.
	Of account.Outcome
}

// scoped are the fields that speak of the share's connections only, where share stands for outcome: they say what becomes
// of a connection, which is not the same for all.
var scoped = []string{"errno", "noticed_by", "failed_send", "rerouted", "peer", "lost_messages", "sockets"}

// Whom is whom one of x's expectations covers.
func (x Expect) Whom(one Atom) Whom {
	w := Whom{Rest: len(x.Connections) > 0}
	switch one.(type) {
	case RuleCheck, ExecCheck, ConnectionCheck:
		return Whom{None: true}
	case ErrnoAtom, NoticedByAtom, FailedSendAtom, ReroutedAtom, PeerAtom, LostAtom, SocketCheck:
		if x.Share != nil {
			w.Of = x.Share.Of
		}
	}
	return w
}

// Text is one of x's expectations in words, with whom it covers.
func (x Expect) Text(one Atom, backends int) string {
	whom := x.Whom(one).String()
	if whom == "" {
		return one.Text(backends)
	}
	return whom + ": " + one.Text(backends)
}

// String is whom an expectation covers, empty if no set of connections.
func (w Whom) String() string {
	if w.None {
		return ""
	}
	text := "every connection"
	if w.Rest {
		text = "every other connection" // than those that are listed
	}
	if w.Of != "" {
		text += " that ends as " + string(w.Of)
	}
	return text
}

// Text names the outcome.
func (x OutcomeAtom) Text(int) string { return string(x) }

// Text gives the probability as a formula and as a number.
func (s ShareCheck) Text(backends int) string {
	return fmt.Sprintf("share of %s: %s = %.3g", s.Of, s.Probability, s.probability(backends))
}

// Text names the error.
func (x ErrnoAtom) Text(int) string { return "first error " + string(x) }

// Text names the side.
func (x NoticedByAtom) Text(int) string {
	if x == account.Nobody {
		return "noticed by nobody"
	}
	return "noticed by the " + string(x)
}

// Text gives the send's number.
func (x FailedSendAtom) Text(int) string {
	return fmt.Sprintf("send %d after the break is the first to fail", int(x))
}

// Text tells whether it is re-routed.
func (x ReroutedAtom) Text(int) string {
	if x {
		return "re-routed to another backend"
	}
	return "never re-routed to another backend"
}

// Text is about a peer that is half-open, the only one that can be expected.
func (PeerAtom) Text(int) string { return "the old backend's socket stays established" }

// Text gives the number.
func (x LostAtom) Text(int) string { return fmt.Sprintf("messages that never arrived: %d", int(x)) }

// Text gives the number.
func (x LostAnswersAtom) Text(int) string {
	return fmt.Sprintf("answers that never arrived: %d", int(x))
}

// Text gives the number.
func (x BreaksAtom) Text(int) string {
	if x == 1 {
		return "entry destroyed at least 1 time"
	}
	return fmt.Sprintf("entry destroyed at least %d times", int(x))
}

// Text names the node and the events.
func (x SequenceAtom) Text(int) string {
	return fmt.Sprintf("conntrack on %s: %s", x.On, joinPatterns(x.Events))
}

// Text names the node and the event.
func (x NeverAtom) Text(int) string { return fmt.Sprintf("conntrack on %s, never: %s", x.On, x.Event) }

// Text is the packet in words, and whether it is never to be seen.
func (x PacketCheck) Text(int) string {
	if x.Never {
		return "never a packet " + x.Describe()
	}
	return "packet " + x.Describe()
}

// Text names the node and the rule.
func (x RuleCheck) Text(int) string {
	if !*x.Moved {
		return fmt.Sprintf("rule on %s never met: %s", x.On, x.Rule)
	}
	return fmt.Sprintf("rule on %s met: %s", x.On, x.Rule)
}

// Text gives side, state and timer.
func (x SocketCheck) Text(int) string {
	text := fmt.Sprintf("at the end the %s's socket is %s", x.Side, x.State)
	if x.Timer != "" {
		text += ", timer " + x.Timer
	}
	return text
}

// Text gives the connection's number, outcome and error.
func (x ConnectionCheck) Text(int) string {
	return strings.TrimSpace(fmt.Sprintf("connection %d: %s %s", x.ID, x.Outcome, x.Errno))
}

func joinPatterns(ps []EventPattern) string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = p.String()
	}
	return strings.Join(words, " → ")
}

// String is the pattern in the words of a conntrack line.
func (p EventPattern) String() string {
	words := []string{p.Type}
	if p.State != "" {
		words = append(words, p.State)
	}
	for _, flag := range []struct {
		set  *bool
		name string
	}{{p.Unreplied, "[UNREPLIED]"}, {p.Assured, "[ASSURED]"}} {
		if flag.set != nil && *flag.set {
			words = append(words, flag.name)
		} else if flag.set != nil {
			words = append(words, "not "+flag.name)
		}
	}
	if p.By != "" {
		words = append(words, "by "+p.By)
	}
	if p.Backend != "" {
		words = append(words, "to the "+p.Backend+" backend")
	}
	return strings.Join(words, " ")
}

// Describe is the packet in words, "RST from the service at client".
func (x PacketCheck) Describe() string {
	text := x.Flag
	if x.From != "" {
		text += " from the " + x.From
	}
	at := x.At
	if at == "" { // of a step, which has its defaults only when it runs
		at = PodClient
	}
	return text + " at " + at
}
