// Package resulttest is what tests of results have in common.
package resulttest

import (
	"fmt"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
)

// OfRecorded is the result of a recorded run, see package recorded.
func OfRecorded(t testing.TB, name string) *result.Result {
	t.Helper()
	e := recorded.Of(t, name)
	e.Release = "6.18"
	return result.New(builtin.Plan(t, builtin.Find(t, name)), e)
}

// Resting finds what a result's account rests on that is not there.
func Resting(r *result.Result) error {
	if len(r.Account) != len(r.Cause) {
		return fmt.Errorf("%d sentences, %d causes", len(r.Account), len(r.Cause))
	}
	for i, s := range r.Account {
		if s.String() != r.Cause[i] {
			return fmt.Errorf("%q is not the cause %q", s, r.Cause[i])
		}
		if len(s.Facts) == 0 {
			return fmt.Errorf("%q rests on nothing", s)
		}
		at := s.AtEnd && s.T == r.DurationS // what holds at the end has been so for some time
		for k, n := range s.Facts {
			if n < 0 || n >= len(r.Timeline) || k > 0 && n <= s.Facts[k-1] {
				return fmt.Errorf("%q rests on %v of %d observations", s, s.Facts, len(r.Timeline))
			}
			o := r.Timeline[n]
			returned := o.Call != nil && o.Call.Took != nil && s.T >= o.T && s.T <= o.T+*o.Call.Took+1e-9
			at = at || s.T == o.T || returned
		}
		if !at {
			return fmt.Errorf("%q: none of its facts is of its time", s)
		}
	}
	return balanced(r)
}

// balanced finds an outcome that rests on no item, and an item that rests on what is not there or is another connection's.
func balanced(r *result.Result) error {
	for _, c := range r.Connections {
		decided := false
		for _, item := range c.Balance {
			decided = decided || item.Decides
			for k, n := range item.Facts {
				if n < 0 || n >= len(r.Timeline) || k > 0 && n <= item.Facts[k-1] || r.Timeline[n].Connection != c.ID {
					return fmt.Errorf("connection %d: %q rests on %v of %d observations", c.ID, item.Text, item.Facts, len(r.Timeline))
				}
			}
		}
		if !decided {
			return fmt.Errorf("connection %d: %s rests on no item", c.ID, c.Outcome)
		}
	}
	return nil
}

// CarriesFacts tells whether an observation carries the typed facts of its source, and no others.
func CarriesFacts(o evidence.Observation) bool {
	has := map[string]bool{"step": o.Step != nil, "conntrack": o.Entry != nil, "packet": o.Packet != nil, "rule": o.Path != nil,
		"kernel": o.KernelEvent != nil, "socket": o.Socket != nil, "client": o.Call != nil || o.Output != nil || o.Kind == "state" && o.Socket != nil}
	has["server"] = has["client"]
	n := 0
	for _, there := range []bool{o.Step != nil, o.Entry != nil, o.Packet != nil, o.Path != nil, o.KernelEvent != nil, o.Socket != nil,
		o.Call != nil, o.Output != nil} {
		if there {
			n++
		}
	}
	return has[o.Source] && n == 1
}
