package result

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// row shows for one field of an expectation that it decides: right passes on the recorded evidence, each of wrong
// fails on the same, and right fails once the evidence is without what it asks for.
type row struct {
	evidence string
	right    scenario.Expect
	wrong    []scenario.Expect
	without  func(*evidence.Evidence)
}

// of is the evidence that the row is about.
func (r row) of(t *testing.T) *evidence.Evidence {
	name, more, _ := strings.Cut(r.evidence, "+")
	e := recorded.Of(t, name)
	if more != "" { // no recording has a command
		e.Deeds = append(e.Deeds, evidence.Deed{Time: e.Ended, At: "client", Kind: "exec", Text: "found",
			Exec: &evidence.Execution{Number: 1, Name: "look", Command: []string{"look"}, Exit: 3, Output: "found: nothing\n"}})
	}
	return e
}

// withCommand is a recording to which a command was added.
const withCommand = multi + "+command"

// judged is the verdict on evidence if a scenario expects x.
func judged(t *testing.T, name string, x scenario.Expect, e *evidence.Evidence) *Result {
	t.Helper()
	name, more, _ := strings.Cut(name, "+")
	s := builtin.Find(t, name)
	if more != "" {
		s.Steps = append(slices.Clone(s.Steps), scenario.Step{Name: "exec", Verb: &scenario.Exec{In: "client", Name: "look", Command: []string{"look"}}})
	}
	s.Expect = x
	strictyaml.SetDefaults(&s.Expect)
	return New(s.Settle(), e)
}

func TestEveryExpectationCanFail(t *testing.T) {
	for field, r := range rows() {
		t.Run(field, func(t *testing.T) {
			if got := judged(t, r.evidence, r.right, r.of(t)); got.Verdict != verdict.Pass {
				t.Errorf("what was seen is expected: %s: %s", got.Verdict, got.Reason)
			}
			for i, wrong := range r.wrong {
				if got := judged(t, r.evidence, wrong, r.of(t)); got.Verdict != verdict.Fail {
					t.Errorf("wrong[%d] is expected: %s: %s", i, got.Verdict, got.Reason)
				}
			}
			if r.without == nil {
				return
			}
			e := r.of(t)
			r.without(e)
			got := judged(t, r.evidence, r.right, e)
			// It may be that nothing is left that would tell what became of it.
			untold := got.Verdict == verdict.Inconclusive && got.Summary[string(account.Unknown)] > 0
			if got.Verdict != verdict.Fail && !untold {
				t.Errorf("the observation is missing: %s: %s", got.Verdict, got.Reason)
			}
		})
	}
}

// A field of the language of expectations without a row is one that might never decide anything.
func TestEveryExpectationHasARow(t *testing.T) {
	rows, known := rows(), map[string]bool{"Alternative.reason": true} // words for people
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for i := range typ.NumField() {
			name := typ.Name() + "." + fieldOf(typ.Field(i))
			if known[name] || fieldOf(typ.Field(i)) == "" {
				continue
			}
			known[name] = true
			if r, ok := rows[name]; !ok || len(r.wrong) == 0 && r.without == nil {
				t.Errorf("no row shows that %s can fail", name)
			}
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[scenario.Expect]())
	for name := range rows {
		if !known[name] {
			t.Errorf("the row %s is about no field", name)
		}
	}
}

// variants are expectations that differ in one thing from one that holds.
func variants[T any](with func(T) scenario.Expect, values ...T) []scenario.Expect {
	var out []scenario.Expect
	for _, v := range values {
		out = append(out, with(v))
	}
	return out
}

// pattern, packetSeen, ruleMet and one put what is under test into an expectation that is right otherwise.
func pattern(p scenario.EventPattern) scenario.Expect {
	return scenario.Expect{Outcome: account.Reset, Events: []scenario.EventsCheck{{Sequence: []scenario.EventPattern{p}}}}
}

func packetSeen(p scenario.PacketCheck) scenario.Expect {
	return scenario.Expect{Outcome: account.Reset, Packets: []scenario.PacketCheck{p}}
}
func ruleMet(r scenario.RuleCheck) scenario.Expect {
	return scenario.Expect{Outcome: account.Hang, Rules: []scenario.RuleCheck{r}}
}
func socketIs(s scenario.SocketCheck) scenario.Expect {
	return scenario.Expect{Outcome: account.Reset, Sockets: []scenario.SocketCheck{s}}
}
func shareIs(s scenario.ShareCheck) scenario.Expect { return scenario.Expect{Share: &s} }
func one(c scenario.ConnectionCheck) scenario.Expect {
	return scenario.Expect{Outcome: account.Hang, Connections: []scenario.ConnectionCheck{c}}
}

// withoutErrors takes away what the programs met, what the kernel says of their sockets, and the RSTs.
func withoutErrors(e *evidence.Evidence) {
	e.Reports = slices.DeleteFunc(e.Reports, func(r peer.Report) bool { return r.Err != nil })
	e.Last = nil
	withoutRST(e)
}

func withoutRST(e *evidence.Evidence) {
	e.Packets = slices.DeleteFunc(e.Packets, func(p packet.Packet) bool { return p.Flags.Has(packet.RST) })
}

// withoutEvents takes away the events of a type that carry a state, or all of the type if none is given.
func withoutEvents(typ conntrack.EventType, state string) func(*evidence.Evidence) {
	return func(e *evidence.Evidence) {
		e.Events = slices.DeleteFunc(e.Events, func(ev evidence.EntryEvent) bool {
			return ev.Type == typ && (state == "" || ev.HasTCP && ev.TCP.String() == state)
		})
	}
}

// withoutNode takes away the events of one node; the other's are much the same.
func withoutNode(node string) func(*evidence.Evidence) {
	return func(e *evidence.Evidence) {
		e.Events = slices.DeleteFunc(e.Events, func(ev evidence.EntryEvent) bool { return ev.Node == node })
	}
}

func withoutRules(e *evidence.Evidence) {
	for node, counters := range e.Rules {
		e.Rules[node] = slices.DeleteFunc(counters, func(c dataplane.Counter) bool {
			return strings.Contains(c.Rule, "INVALID")
		})
	}
}

// withoutArrivals takes away what servers received.
func withoutArrivals(e *evidence.Evidence) {
	e.Reports = slices.DeleteFunc(e.Reports, func(r peer.Report) bool { return r.Call == peer.Recv && r.Err == nil })
}

// withoutServerSends takes away what servers sent.
func withoutServerSends(e *evidence.Evidence) {
	e.Reports = slices.DeleteFunc(e.Reports, func(r peer.Report) bool { return r.Side == peer.Server && r.Call == peer.Send })
}

func withoutFinals(e *evidence.Evidence) { e.Last = nil }

func fieldOf(f reflect.StructField) string {
	name, _ := strictyaml.FieldName(f)
	return name
}
