package report

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario/result"
)

// texts are the fields of a result that are words for people: whatever stands in them, a report looks the same but for
// these words.
var texts = map[string]bool{
	"Result.Title": true, "Result.Reason": true, "Result.Happened": true, "Result.Cause": true, "Result.Cure": true, "Result.Missing": true,
	"Sentence.Text": true, "Check.Text": true, "Check.Reason": true, "SocketSettings.Text": true, "ProgramRun.Ended": true, "ProgramRun.Command": true,
	"Entry.First": true, "Entry.Last": true, "Entry.By": true, "RuleCount.Rule": true,
	"Observation.Text": true, "Observation.Detail": true, "Observation.By": true, "PacketFacts.Comment": true, "ICMPFacts.Name": true,
	"PathFacts.DroppedBy": true, "HopFacts.Rule": true, "CallFacts.Error": true, "SocketFacts.Timer": true, "CallFacts.Data": true,
}

// reworded is a copy of a result in which each text that is not empty is another.
func reworded(r *result.Result, to func(string) string) *result.Result {
	out := printableResult(r) // a copy
	reword(reflect.ValueOf(out).Elem(), false, to)
	return out
}

func reword(v reflect.Value, is bool, to func(string) string) {
	switch v.Kind() {
	case reflect.String:
		if is && v.String() != "" {
			v.SetString(to(v.String()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			reword(v.Elem(), is, to)
		}
	case reflect.Slice:
		for i := range v.Len() {
			reword(v.Index(i), is, to)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				reword(v.Field(i), texts[v.Type().Name()+"."+f.Name], to)
			}
		}
	}
}

var (
	tag    = regexp.MustCompile(`<[^>]*>`)
	colour = regexp.MustCompile("\x1b\\[[0-9;]*m")
	word   = regexp.MustCompile(`text[0-9]+text`)
)

// skeleton is a report without what is written in it: of the page all tags with their classes, places and sizes; of the text
// the colours of each line, and whose it is.
func skeleton(t *testing.T, r *result.Result) string {
	t.Helper()
	out := strings.Join(tag.FindAllString(body(rendered(t, r)), -1), "\n")
	for _, o := range wideOptions {
		for line := range strings.Lines(render(t, r, o)) {
			out += fmt.Sprintln(colour.FindAllString(line, -1), strings.HasPrefix(line, " "))
		}
	}
	return out
}

// wideOptions wrap nothing.
var wideOptions = []TextOptions{{Width: 1 << 20, Color: true}, {Width: 1 << 20, Color: true, Verbose: true}}

// whole is all that is written.
func whole(t *testing.T, r *result.Result) string {
	t.Helper()
	out := body(rendered(t, r))
	for _, o := range wideOptions {
		out += render(t, r, o)
	}
	return out
}

// TestTextsDecideNothing holds that reports are made of typed facts: where every text is x, rows, entries, chains, marks
// and colours are the same.
func TestTextsDecideNothing(t *testing.T) {
	all := recorded(t)
	all["article"], all["crowd"], all["told"] = article(), crowd(), told()
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			x := reworded(r, func(string) string { return "x" })
			if diff := cmp.Diff(skeleton(t, r), skeleton(t, x)); diff != "" {
				t.Errorf("the shape follows from a text (-as it is +every text is x):\n%s", diff)
			}
			// Nor does it matter which texts are equal: each by a word of its own, and all by one.
			numbers := map[string]int{}
			named := reworded(r, func(s string) string {
				if numbers[s] == 0 {
					numbers[s] = len(numbers) + 1
				}
				return fmt.Sprintf("text%dtext", numbers[s])
			})
			if diff := cmp.Diff(word.ReplaceAllString(whole(t, named), "x"), whole(t, x)); diff != "" {
				t.Errorf("which texts are equal decides (-words of their own +x):\n%s", diff)
			}
		})
	}
}

// TestFactsDecide: without the typed facts the same texts give another report, so that the test above sees something.
func TestFactsDecide(t *testing.T) {
	without := map[string]func(*evidence.Observation){
		"entry": func(o *evidence.Observation) { o.Entry = nil }, "packet": func(o *evidence.Observation) { o.Packet = nil },
		"path": func(o *evidence.Observation) { o.Path = nil }, "kernel event": func(o *evidence.Observation) { o.KernelEvent = nil },
		"call": func(o *evidence.Observation) { o.Call = nil }, "socket": func(o *evidence.Observation) { o.Socket = nil },
	}
	for name, take := range without {
		r := recorded(t)["flush-multi-backend"]
		want := skeleton(t, r)
		for i := range r.Timeline {
			take(&r.Timeline[i])
		}
		if skeleton(t, r) == want {
			t.Errorf("the reports are the same without the %s facts", name)
		}
	}
}
