package scenario

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// row shows for one field of an expectation that it decides: right passes on the recorded evidence, each of wrong
// fails on the same, and right fails once the evidence is without what it asks for.
type row struct {
	evidence string
	right    Expect
	wrong    []Expect
	without  func(*evidence)
}

// judged is the verdict on evidence if a scenario expects x.
func judged(t *testing.T, name string, x Expect, e *evidence) *Result {
	t.Helper()
	s := find(t, name)
	s.Expect = x
	strictyaml.SetDefaults(&s.Expect)
	return NewResult(s.settle(), e)
}

func TestEveryExpectationCanFail(t *testing.T) {
	for field, r := range rows() {
		t.Run(field, func(t *testing.T) {
			if got := judged(t, r.evidence, r.right, evidenceOf(t, r.evidence)); got.Verdict != Pass {
				t.Errorf("what was seen is expected: %s: %s", got.Verdict, got.Reason)
			}
			for i, wrong := range r.wrong {
				if got := judged(t, r.evidence, wrong, evidenceOf(t, r.evidence)); got.Verdict != Fail {
					t.Errorf("wrong[%d] is expected: %s: %s", i, got.Verdict, got.Reason)
				}
			}
			if r.without == nil {
				return
			}
			e := evidenceOf(t, r.evidence)
			r.without(e)
			if got := judged(t, r.evidence, r.right, e); got.Verdict != Fail {
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
	walk(reflect.TypeFor[Expect]())
	for name := range rows {
		if !known[name] {
			t.Errorf("the row %s is about no field", name)
		}
	}
}

// variants are expectations that differ in one thing from one that holds.
func variants[T any](with func(T) Expect, values ...T) []Expect {
	var out []Expect
	for _, v := range values {
		out = append(out, with(v))
	}
	return out
}

// pattern, packetSeen, ruleMet and one put what is under test into an expectation that is right otherwise.
func pattern(p EventPattern) Expect {
	return Expect{Outcome: Reset, Events: []EventsCheck{{Sequence: []EventPattern{p}}}}
}

func packetSeen(p PacketCheck) Expect { return Expect{Outcome: Reset, Packets: []PacketCheck{p}} }
func ruleMet(r RuleCheck) Expect      { return Expect{Outcome: Hang, Rules: []RuleCheck{r}} }
func socketIs(s SocketCheck) Expect   { return Expect{Outcome: Reset, Sockets: []SocketCheck{s}} }
func shareIs(s ShareCheck) Expect     { return Expect{Share: &s} }
func one(c ConnectionCheck) Expect {
	return Expect{Outcome: Hang, Connections: []ConnectionCheck{c}}
}

// withoutErrors takes away what the programs met, and what the kernel says of their sockets.
func withoutErrors(e *evidence) {
	e.reports = slices.DeleteFunc(e.reports, func(r probe.Report) bool { return r.Err != nil })
	e.last = nil
}

func withoutRST(e *evidence) {
	e.packets = slices.DeleteFunc(e.packets, func(p packet.Packet) bool { return p.Flags.Has(packet.RST) })
}

// withoutEvents takes away the events of a type that carry a state, or all of the type if none is given.
func withoutEvents(typ conntrack.EventType, state string) func(*evidence) {
	return func(e *evidence) {
		e.events = slices.DeleteFunc(e.events, func(ev entryEvent) bool {
			return ev.Type == typ && (state == "" || ev.HasTCP && ev.TCP.String() == state)
		})
	}
}

// withoutNode takes away the events of one node; the other's are much the same.
func withoutNode(node string) func(*evidence) {
	return func(e *evidence) {
		e.events = slices.DeleteFunc(e.events, func(ev entryEvent) bool { return ev.node == node })
	}
}

func withoutRules(e *evidence) {
	for node, counters := range e.rules {
		e.rules[node] = slices.DeleteFunc(counters, func(c dataplane.Counter) bool {
			return strings.Contains(c.Rule, "INVALID")
		})
	}
}

// withoutArrivals takes away what servers received.
func withoutArrivals(e *evidence) {
	e.reports = slices.DeleteFunc(e.reports, func(r probe.Report) bool { return r.Call == probe.Recv && r.Err == nil })
}

func withoutFinals(e *evidence) { e.last = nil }
