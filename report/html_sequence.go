package report

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
)

// The page stays usable however long a run was: rows beyond these are counted, not written.
const (
	maxRows = 3000
	// maxFolded is how many rows of a fold are written.
	maxFolded = 200
	// longestPattern is how many rows in a row may repeat as one.
	longestPattern = 12
)

// sequence is what was seen of the example, row by row.
type sequence struct {
	Rows []row
	// Minor counts the rows that are hidden until asked for.
	Minor int
	// Of are the observations that the rows are made of.
	Of int

	lanes   *lanes
	renewed map[renewal]fresh
	// sockets is the last state of each place's socket.
	sockets map[string]string
}

// renewal is when and where an entry was made.
type renewal struct {
	node string
	t    float64
}

// Lanes are the lifelines.
func (s *sequence) Lanes() []lane { return s.lanes.Lanes }

// newSequence tells of one connection, row by row.
func newSequence(r *result.Result, seen []evidence.Observation) *sequence {
	s := &sequence{lanes: newLanes(r, seen), renewed: map[renewal]fresh{}, sockets: map[string]string{}, Of: len(seen)}
	for i, f := range renewals(r.Entries) {
		s.renewed[renewal{r.Entries[i].Node, r.Entries[i].Made}] = f
	}
	packets := journeys(seen)
	var rows []row
	for i, o := range seen {
		if j, begins := packets[i]; begins {
			rows = append(rows, s.packetRow(j))
		} else if o.Source != "packet" || o.Packet == nil {
			rows = append(rows, s.observationRow(o))
		}
	}
	s.Rows = number(shorten(foldEarlier(foldRepetitions(rows))), "event")
	for _, r := range rows {
		if r.minor {
			s.Minor++
		}
	}
	return s
}

// number gives each row a name that a link can lead to.
func number(rows []row, prefix string) []row {
	for i := range rows {
		rows[i].ID = fmt.Sprintf("%s-%d", prefix, i+1)
		if rows[i].Fold != nil {
			number(rows[i].Fold.Rows, rows[i].ID)
		}
	}
	return rows
}

// hidden is a stretch of rows in place of which one stands.
type hidden struct {
	Title, Text string
	Rows        []row
	// Left counts the rows that are not written.
	Left int
}

// foldRepetitions puts what repeats itself at least three times, row for row, behind its first occurrence.
func foldRepetitions(rows []row) []row {
	var out []row
	for i := 0; i < len(rows); {
		k, n := pattern(rows[i:])
		if n < 3 || beginsLater(rows[i:], k) {
			out = append(out, rows[i])
			i++
			continue
		}
		first, rest := rows[i:i+k], rows[i+k:i+k*n]
		out = append(out, first...)
		out = append(out, folded(first, rest, n-1))
		i += k * n
	}
	return out
}

// beginsLater tells whether the repetition is better told from one of its next rows on: from what is done, a step or a
// packet, to what comes of it.
func beginsLater(rows []row, k int) bool {
	if rows[0].begins {
		return false
	}
	for shift := 1; shift < k; shift++ {
		if !rows[shift].begins {
			continue
		}
		if length, n := pattern(rows[shift:]); length == k && n >= 3 {
			return true
		}
	}
	return false
}

func folded(first, rest []row, times int) row {
	every := seconds((rest[len(rest)-len(first)].t - first[0].t) / float64(times))
	r := foldOf(rest, fmt.Sprintf("%d more times", times),
		fmt.Sprintf("the same again, every %s, until %s", every, stamp(rest[len(rest)-1].t)))
	if !slices.ContainsFunc(first, func(r row) bool { return !r.minor }) {
		r.hide()
	}
	return r
}

// foldOf puts rows behind one.
func foldOf(rows []row, title, text string) row {
	f := &hidden{Title: title, Text: text, Rows: slices.Clone(rows)}
	if len(rows) > maxFolded {
		f.Rows, f.Left = f.Rows[:maxFolded], len(rows)-maxFolded
	}
	return row{Class: "fold", Time: stamp(rows[0].t), t: rows[0].t, Fold: f}
}

// foldEarlier puts the losses of the entry behind one row that changed nothing for the flow, so that the page leads to
// the one that did, or to the last.
func foldEarlier(rows []row) []row {
	last, first, losses := -1, -1, 0
	for i, r := range rows {
		if r.MarkTone != "" && (last < 0 || r.MarkTone == "bad" || rows[last].MarkTone != "bad") {
			last = i
		}
	}
	for i := range max(last, 0) {
		if rows[i].MarkTone == "same" {
			if losses++; first < 0 {
				first = i
			}
		} else if rows[i].MarkTone != "" {
			return rows // it went elsewhere more than once: all of it is to be told
		}
	}
	from, to := breakBefore(rows, first), breakBefore(rows, last)
	if losses == 0 || from < 0 || to <= from {
		return rows
	}
	earlier := foldOf(rows[from:to], account.Count(losses, "earlier loss", "earlier losses")+" of the entry", "after which the flow went on")
	return slices.Concat(rows[:from], []row{earlier}, rows[to:])
}

// breakBefore is the step before the DESTROY before a row, -1 if there is none.
func breakBefore(rows []row, i int) int {
	destroyed := false
	for i--; i >= 0; i-- {
		destroyed = destroyed || rows[i].Badge == "DESTROY"
		if destroyed && rows[i].Class == "step" {
			return i
		}
	}
	return -1
}

// pattern finds the repetition at the start of rows that covers most: k rows, n times. A row to keep is in none.
func pattern(rows []row) (k, n int) {
	for length := 1; length <= longestPattern && 2*length <= len(rows); length++ {
		if rows[length-1].keep {
			break
		}
		times := 1
		for at := length; at+length <= len(rows) && same(rows[:length], rows[at:at+length]); at += length {
			times++
		}
		if times >= 3 && times*length > k*n {
			k, n = length, times
		}
	}
	return k, n
}

func same(a, b []row) bool {
	return slices.EqualFunc(a, b, func(a, b row) bool { return a.signature == b.signature && !b.keep })
}

// shorten leaves out the middle of a sequence that is too long even so.
func shorten(rows []row) []row {
	if len(rows) <= maxRows {
		return rows
	}
	head, tail := maxRows/3, maxRows-maxRows/3
	left := len(rows) - head - tail
	gap := row{Class: "fold gap", Time: stamp(rows[head].t), t: rows[head].t,
		Text: fmt.Sprintf("%d rows are left out here; the JSON report has them all", left)}
	return slices.Concat(rows[:head], []row{gap}, rows[len(rows)-tail:])
}
