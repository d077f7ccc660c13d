package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// trialSentence is the result of a trial in a few sentences: what became of its connection, what of the program's others,
// and, where that cannot be told, what would tell.
func trialSentence(r *result.Result, c account.Connection, ok bool) string {
	if !ok {
		return r.Reason
	}
	t := trialed{r, c}
	text := sentence(r.Reason)
	if tell := sentences[c.Outcome]; r.Verdict != verdict.Inconclusive && tell != nil {
		text = tell(t)
		if n := len(c.Backends); c.Breaks > 1 && n > 0 && c.Backends[0] != c.Backends[n-1] {
			text += fmt.Sprintf(" It took %d tries: until then the fresh pick was the old backend, by luck.", c.Breaks)
		}
	}
	return text + t.unexpected() + t.others() + t.advice()
}

// sentence ends a text with a full stop.
func sentence(text string) string { return strings.TrimSuffix(text, ".") + "." }

// trialed is the connection of a trial that its sentences are about.
type trialed struct {
	r *result.Result
	account.Connection
}

// sentences tell of each outcome. They say no more than the connection's balance does.
var sentences = map[account.Outcome]func(trialed) string{
	account.Survived:     trialed.survived,
	account.Closed:       trialed.closed,
	account.Reset:        trialed.reset,
	account.Hang:         trialed.hang,
	account.Refused:      trialed.refused,
	account.Timeout:      trialed.timeout,
	account.WrongBackend: trialed.wrongBackend,
	account.Reconnected:  trialed.reconnected,
	account.Unknown:      trialed.unknown,
}

// the is what the connection is called: by its number if the program had several.
func (t trialed) the() string {
	if len(t.r.Connections) > 1 {
		return fmt.Sprintf("connection %d", t.ID)
	}
	return "the connection"
}

// at is when a program was told; empty if that is not known.
func (t trialed) at() string {
	if t.NoticedAt == nil {
		return ""
	}
	return fmt.Sprintf(" at +%.3f s", *t.NoticedAt)
}

// why are the items that the outcome rests on, after a colon.
func (t trialed) why() string {
	if why := t.Balance.Why(); why != "" {
		return ": " + why
	}
	return ""
}

// told is who met an error first.
func (t trialed) told() string {
	switch {
	case t.NoticedBy == account.Nobody || t.NoticedBy == "":
		return "no program was told"
	case t.Errno == "":
		return fmt.Sprintf("the %s gave it up%s", t.NoticedBy, t.at())
	}
	return fmt.Sprintf("the %s was told first, %s%s", t.NoticedBy, t.Errno, t.at())
}

// left is what a connection leaves that is over: a peer that does not know, and a program without a connection.
func (t trialed) left() string {
	text := ""
	if t.Peer == account.HalfOpen {
		text = " The server does not know, its socket is half-open."
	}
	if len(t.r.Connections) > 1 {
		return text + " None of the program's others is known to stand in its place."
	}
	return text + " The program did not open a new one."
}

func (t trialed) survived() string {
	ended := slices.ContainsFunc(t.Balance, func(i account.Item) bool { return i.Decides && i.What == account.ItemFIN })
	switch {
	case t.HalfClosed:
		return t.the() + " survived; one side has ended its stream in order since, the other is open."
	case ended:
		return t.the() + " survived: it was used after the break, and then closed in order."
	}
	return t.the() + " survived."
}

func (t trialed) closed() string {
	text := "both sides have closed " + t.the() + " in order"
	for _, i := range t.Balance {
		if i.What == account.ItemUse {
			text += ": " + i.Text
		}
	}
	return text + "."
}

func (t trialed) reset() string {
	text := t.the() + " is dead: " + t.told() + "."
	switch {
	case t.Errno == "" && (t.NoticedBy == account.Nobody || t.NoticedBy == ""):
		text = t.the() + " is dead: a RST has ended it, and no program was told."
	case t.Errno == "EPIPE":
		text += " The server had ended its side before."
	}
	return text + t.left()
}

func (t trialed) hang() string {
	told := t.told()
	return t.the() + " hangs" + t.why() + ". " + strings.ToUpper(told[:1]) + told[1:] + "."
}

func (t trialed) refused() string {
	return t.the() + " was refused: " + t.told() + "."
}

func (t trialed) timeout() string {
	reached := slices.ContainsFunc(t.Balance, func(i account.Item) bool { return i.Side == "server" })
	switch {
	case t.NoticedBy != account.Nobody && t.NoticedBy != "":
		text := t.the() + " hung until the " + t.NoticedBy + " gave it up"
		if t.Errno != "" {
			text += " (" + t.Errno + ")"
		}
		return text + t.at() + "." + t.left()
	case !reached:
		return "the client's connect was never answered" + t.why() + "."
	}
	return t.the() + " was given up, and no program was told" + t.why() + "."
}

func (t trialed) wrongBackend() string {
	return "what was sent on " + t.the() + " arrived at a server that it was not meant for" + t.why() + "."
}

func (t trialed) reconnected() string {
	how := "silently opened a new one"
	if slices.ContainsFunc(t.r.Timeline, func(o evidence.Observation) bool { return o.Source == "step" && o.Kind == "again" }) {
		how = "opened a new one when it was used once more"
	}
	lost := fmt.Sprintf("%s at the %s%s", t.Errno, t.NoticedBy, t.at())
	if t.Errno == "" {
		lost = fmt.Sprintf("the %s gave it up%s", t.NoticedBy, t.at())
	}
	return fmt.Sprintf("%s died (%s), and the program %s.", t.the(), lost, how)
}

func (t trialed) unknown() string {
	return "it cannot be told what became of " + t.the() + t.why() + "."
}

// unexpected says what was expected where the outcome alone does not show that it was not.
func (t trialed) unexpected() string {
	if t.r.Verdict != verdict.Fail {
		return ""
	}
	switch t.Outcome {
	case account.Survived, account.Reconnected, account.Closed, account.Unknown:
	default:
		return ""
	}
	for _, x := range t.r.Expectations {
		if x.Verdict == verdict.Fail {
			return " That is not as expected: " + x.Text + "."
		}
	}
	return ""
}

// others are what became of all connections of the program, if it had several; those that replaced a lost one go without
// saying.
func (t trialed) others() string {
	total, same, counts, why := 0, 0, map[account.Outcome]int{}, []string{}
	for _, c := range t.r.Connections {
		switch {
		case c.Replaces > 0:
			continue
		case c.Untested != "":
			why = append(why, fmt.Sprintf("connection %d not tested, %s", c.ID, c.Untested))
		case len(t.r.Service.Backends) > 1 && spared(c):
			same++
		default:
			counts[c.Outcome]++
		}
		total++
	}
	if total < 2 || len(why) == total { // the reason says why none was tested
		return ""
	}
	var parts []string
	for _, o := range account.Outcomes {
		if n := counts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	if same > 0 {
		parts = append(parts, fmt.Sprintf("%d survived without being re-routed", same))
	}
	if n := len(why); n > 2 {
		why = append(why[:1], fmt.Sprintf("%d more not tested", n-1))
	}
	return fmt.Sprintf(" Of the program's %d connections: %s.", total, strings.Join(append(parts, why...), "; "))
}

// advice is how a trial that could not tell would tell, by options of ctsim try.
func (t trialed) advice() string {
	if t.r.Verdict != verdict.Inconclusive || t.r.Interrupted {
		return ""
	}
	has := func(is func(account.Connection) bool) bool { return slices.ContainsFunc(t.r.Connections, is) }
	switch {
	case has(func(c account.Connection) bool { return c.Untested != "" }):
		return " Let the client keep its connection and use it again later, after the break: a shorter --after breaks it sooner, --input types a line " +
			"to the client then, and a longer --hold waits until it uses the connection of its own accord."
	case has(unused):
		return " Let the client use it again later: --input types a line to it after the break, and a longer --hold waits until it uses the connection " +
			"of its own accord."
	case len(t.r.Service.Backends) > 1 && has(spared):
		return " Try it again, or with --backends 10: then nine fresh picks out of ten lead elsewhere."
	}
	return ""
}

// unused tells whether an outcome is not known because the connection was not used after the break.
func unused(c account.Connection) bool {
	return c.Outcome == account.Unknown && slices.ContainsFunc(c.Balance, func(i account.Item) bool { return i.Decides && i.What == account.ItemUse })
}

// spared tells whether a connection survived because every fresh pick was the old backend.
func spared(c account.Connection) bool {
	return c.Outcome == account.Survived && c.Breaks > 0 && len(slices.Compact(slices.Clone(c.Backends))) < 2
}
