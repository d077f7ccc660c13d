package account

import (
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
)

// telling are the kinds of steps that are told between the causes: those that change the world or end something.
// What the programs do with their connections otherwise is told where it matters.
var telling = []string{"flush", "delete-entry", "delete-stale", "age", "sysctl", "exec", "remove-endpoints", "add-endpoints",
	"stop-servers", "kill-pod", "take-address", "inject", "shutdown", "close"}

// deeds tells of the steps that no other sentence rests on; of one that was taken several times, in the same words, once.
func (t *teller) deeds() {
	type words struct{ kind, text string }
	told := map[words]bool{}
	for _, c := range t.out {
		for _, f := range c.facts {
			if d, ok := f.(*evidence.Deed); ok && brings[d.Kind] {
				told[words{d.Kind, d.Text}] = true
			}
		}
	}
	for i := range t.e.Deeds {
		d := &t.e.Deeds[i]
		w := words{d.Kind, d.Text}
		if d.At != "step" || !slices.Contains(telling, d.Kind) || told[w] {
			continue
		}
		told[w] = true
		facts, often := on(d), 1
		for j := i + 1; j < len(t.e.Deeds); j++ {
			if o := &t.e.Deeds[j]; o.At == d.At && o.Kind == d.Kind && o.Text == d.Text {
				facts, often = append(facts, o), often+1
			}
		}
		text := "step: " + d.Text
		if often > 1 {
			text += ", " + Count(often, "time", "times") + " in all"
		} else if said := t.said(i); said != nil {
			text += ": " + firstLine(said.Text)
			facts = append(facts, said)
		}
		t.say(d.Time, facts, "%s", text)
	}
}

// brings are the steps whose effect is told in a sentence that names them: the entry that they destroyed.
var brings = map[string]bool{"flush": true, "delete-entry": true, "delete-stale": true, "age": true}

// said is what the command of an exec step has written, noted after it; nil if that is nothing.
func (t *teller) said(step int) *evidence.Deed {
	if t.e.Deeds[step].Kind != "exec" || step+1 >= len(t.e.Deeds) {
		return nil
	}
	if d := &t.e.Deeds[step+1]; d.Kind == "exec" && d.At != "step" && d.Text != "" {
		return d
	}
	return nil
}

// firstLine is the first line of a text, with a mark if there are more.
func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if more {
		line += " …"
	}
	return line
}

// breaking is the step in which ctsim destroyed an entry; nil if it was not ctsim, or in no such step.
func (t *teller) breaking(ev *evidence.EntryEvent) any {
	if ev.DestroyedBy() != conntrack.Caller || !t.e.Ours[ev.PortID] && !t.e.Deleted[ev.PortID] {
		return nil
	}
	for i := range slices.Backward(t.e.Deeds) {
		if d := &t.e.Deeds[i]; d.At == "step" && !d.Time.After(ev.Time) {
			if brings[d.Kind] {
				return d
			}
			return nil
		}
	}
	return nil
}
