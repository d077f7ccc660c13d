package account

import (
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
)

// Why a connection of a program was not tested, in the words of Connection.Untested.
const (
	ClosedBefore = "its program had closed it before the break"
	NeverBroken  = "nothing was broken before its program closed it"
	LostBefore   = "it was lost before the break"
	OpenedAfter  = "it was opened after the break"
	ClosedUnused = "its program closed it after the break without having used it again"
)

// breaking are the steps that may break a connection, with or without a conntrack event that shows it.
var breaking = append([]string{"flush", "age", "delete-entry", "delete-stale"}, faults...)

// breakTimes are when anything was broken in the run, in order: the steps that do it, and the entries that were lost.
func breakTimes(e *evidence.Evidence, accounts []*Account) []time.Time {
	var out []time.Time
	for _, d := range e.Deeds {
		if d.At == "step" && slices.Contains(breaking, d.Kind) {
			out = append(out, d.Time)
		}
	}
	for _, a := range accounts {
		if !a.firstBreak.IsZero() {
			out = append(out, a.firstBreak)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// untested says why no break has tested the connection; empty if one has, or if it was lost since: that is told in any case.
// A connection opened after a break is untested where another one was there to be broken: without one the steps before it
// only prepared the world.
func (w *witness) untested(breaks []time.Time, accounts []*Account) string {
	since := w.a.Flow.Since
	first := slices.IndexFunc(breaks, func(t time.Time) bool { return t.After(since) })
	switch {
	case w.a.lost() && first >= 0 && !w.a.noticed.IsZero() && w.a.noticed.Before(breaks[first]):
		return LostBefore
	case w.a.lost():
		return ""
	case first < 0 && w.a.Breaks == 0 && wasThere(breaks, accounts, since):
		return OpenedAfter
	case first < 0 && !w.left.IsZero():
		return NeverBroken
	case !w.left.IsZero() && w.left.Before(breaks[first]):
		return ClosedBefore
	case w.a.Outcome == Closed:
		return ClosedUnused
	}
	return ""
}

// wasThere tells whether a connection was there when something was broken before a time.
func wasThere(breaks []time.Time, accounts []*Account, before time.Time) bool {
	return slices.ContainsFunc(accounts, func(a *Account) bool {
		return !a.Flow.Since.IsZero() && slices.ContainsFunc(breaks, func(t time.Time) bool {
			return a.Flow.Since.Before(t) && t.Before(before)
		})
	})
}
