package scenario_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/stranger"
)

// words are the fields whose text is handed to a program and is none itself.
var words = []string{"ExecCheck.output", "Input.line", "Program.env", "StartClient.input", "StartClient.printed", "Use.input"}

// TestEveryProgramIsAWish: a scenario wants to run what stands in every field that may be a program, and a field for
// programs that is new has to be one or the other.
func TestEveryProgramIsAWish(t *testing.T) {
	programs := []string{"Exec.command", "Program.exec"}
	for _, name := range stranger.Data() {
		if !slices.Contains(words, name) && !slices.Contains(programs, name) {
			t.Errorf("%s is for a program: is it one, so that the user has to be asked, or only said to one?", name)
		}
	}
	lib, err := scenario.Parse("f", []byte("scenarios:\n- name: x\n  title: t\n  steps: [connect, {exec: {in: master, command: [a, b]}},\n"+
		"    {repeat: {times: 2, steps: [repeat: {times: 2, steps: [{exec: {in: client, command: [c, d]}}]}]}}]\n  expect: {outcome: survived}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := lib.Scenarios[0]
	reached := map[string]int{}
	for _, f := range stranger.Fields(&s) {
		before := told(s)
		f.Set("marked")
		if told(s) > before {
			reached[f.Name]++
		}
	}
	if want := map[string]int{"Exec.command": 2, "Program.exec": 2}; !reflect.DeepEqual(reached, want) {
		t.Errorf("what is set in %v is told, want %v", reached, want)
	}
}

// told is how many programs of a scenario have the mark among their words.
func told(s scenario.Scenario) int {
	n := 0
	for _, w := range s.Wishes() {
		if strings.Contains(strings.Join(w.Words, " "), "marked") {
			n++
		}
	}
	return n
}
