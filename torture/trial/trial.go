package trial

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/replay"
	"github.com/ctsim/ctsim/torture/generate"
	"github.com/ctsim/ctsim/torture/oracle"
)

// Finding is one disagreement. Kind is the same for what is likely the same fault; Text has both opinions.
type Finding struct{ Kind, Text string }

// Trial is a scenario that was run. Its findings can be asked for again and again: with a fault planted for instance.
type Trial struct {
	Case     generate.Case
	plan     *scenario.Plan
	evidence *evidence.Evidence
	opinions []oracle.Opinion
	probes   []probe
}

// Run runs a case in a world of its own. Refused is what the language says against it: a case that is none. The error is a run
// that could not be made.
func Run(ctx context.Context, c generate.Case) (t *Trial, refused, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return runText(ctx, c, c.YAML())
}

// RunFile runs the first scenario of a file's text, without probes of its verdict: one that was found once, and kept.
func RunFile(ctx context.Context, text string) (t *Trial, refused, err error) {
	return runText(ctx, generate.Case{}, text)
}

func runText(ctx context.Context, c generate.Case, text string) (t *Trial, refused, err error) {
	plan, refused := planOf(text)
	if refused != nil {
		return nil, refused, nil
	}
	t, err = runPlan(ctx, plan)
	if err != nil {
		return nil, nil, err
	}
	if t.Case = c; len(c.Steps) > 0 {
		t.probes = t.allProbes()
	}
	return t, nil, nil
}

func runPlan(ctx context.Context, plan *scenario.Plan) (*Trial, error) {
	e, err := replay.Run(ctx, plan, replay.Options{})
	if err != nil {
		return nil, err
	}
	return &Trial{plan: plan, evidence: e, opinions: oracle.Judge(factsOf(e))}, nil
}

// planOf settles the first scenario of a file.
func planOf(text string) (*scenario.Plan, error) {
	lib, err := scenario.Parse("torture.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return lib.Scenarios[0].Plan(scenario.Size{})
}

// Interrupted tells whether the run was ended before its last step: nothing can be said of it.
func (t *Trial) Interrupted() bool { return t.evidence.Interrupted }

// Decided tells whether the oracle's opinion of every connection can contradict.
func (t *Trial) Decided() bool {
	return !slices.ContainsFunc(t.opinions, func(o oracle.Opinion) bool { return !o.Decided() })
}

// Opinions are the oracle's, one line each.
func (t *Trial) Opinions() string {
	var b strings.Builder
	for _, o := range t.opinions {
		fmt.Fprintf(&b, "connection %d: %s\n", o.ID, o)
	}
	return b.String()
}

// Ends are the packets that left and reached the two ends of the connections, one line each.
func (t *Trial) Ends() string {
	var b strings.Builder
	for _, p := range t.evidence.Followed() {
		if t.evidence.ClientAt == p.At || t.evidence.IsPod(p.At) {
			fmt.Fprintf(&b, "%9.6f %-9s %-3s %s\n", t.evidence.Since(p.Time), p.At, p.Direction, p)
		}
	}
	for _, l := range t.evidence.Last {
		fmt.Fprintf(&b, "at the end connection %d, the %s: %s, %d unacknowledged, %d times sent again\n", l.Flow, l.Side, l.State, l.Unacked, l.Retransmits)
	}
	return b.String()
}

// Findings holds accounts and verdicts against the oracle.
func (t *Trial) Findings() []Finding {
	accounts := accountsOf(t.plan, t.evidence)
	var out []Finding
	for _, o := range t.opinions {
		if o.ID > len(accounts) {
			out = append(out, Finding{"a connection has no account", fmt.Sprintf("connection %d has no account", o.ID)})
			continue
		}
		out = append(out, compared(accounts[o.ID-1], o)...)
	}
	wrong := len(out) > 0
	for _, p := range t.probes {
		if p.follows && wrong {
			continue
		}
		if f, is := p.judged(t.evidence, accounts); is {
			out = append(out, f)
		}
	}
	return out
}

func accountsOf(plan *scenario.Plan, e *evidence.Evidence) []*account.Account {
	return account.AccountsOf(e, max(plan.Connections, e.Connections), e.Index(), e.Followed())
}

// compared holds one account against the opinion.
func compared(a *account.Account, o oracle.Opinion) []Finding {
	var out []Finding
	said := string(a.Outcome)
	if said == "" || said == "unknown" { // nothing in the balance shows what became of it
		said = string(oracle.Inconclusive)
	}
	if !o.Allows(said) {
		out = append(out, Finding{fmt.Sprintf("outcome %s, and %s", said, o.Why),
			fmt.Sprintf("connection %d: the account says %s (errno %q, noticed by %q); the oracle %s", a.ID, said, a.Errno, a.NoticedBy, o)})
	}
	met := slices.ContainsFunc(o.Errors, func(e oracle.Error) bool { return e.Errno == a.Errno })
	if a.Errno != "" && !met {
		out = append(out, Finding{"an errno that no socket gave",
			fmt.Sprintf("connection %d: the account says %s; its sockets gave %v", a.ID, a.Errno, names(o.Errors))})
	}
	if wrong := wrongSide(a, o); wrong != "" {
		out = append(out, Finding{"noticed by the wrong side", fmt.Sprintf("connection %d: %s; its sockets gave %v", a.ID, wrong, names(o.Errors))})
	}
	return out
}

// wrongSide tells how the account is wrong about who met the first error; empty if it is not.
func wrongSide(a *account.Account, o oracle.Opinion) string {
	errors := slices.DeleteFunc(slices.Clone(o.Errors), func(e oracle.Error) bool { return e.Deadline })
	if len(errors) == 0 {
		return ""
	}
	first := slices.MinFunc(errors, func(a, b oracle.Error) int { return a.Time.Compare(b.Time) })
	side := map[bool]string{true: "client", false: "server"}[first.OfClient]
	switch {
	case a.Errno == "" && a.NoticedBy != "client" && a.NoticedBy != "server":
		return "nobody has noticed"
	case len(errors) == len(o.Errors) && (a.NoticedBy != side || a.Errno != first.Errno):
		return fmt.Sprintf("noticed by %q with %q", a.NoticedBy, a.Errno)
	}
	return ""
}

func names(errors []oracle.Error) []string {
	out := []string{}
	for _, e := range errors {
		side := map[bool]string{true: "client", false: "server"}[e.OfClient]
		out = append(out, fmt.Sprintf("%s %s", side, e.Errno))
	}
	return out
}
