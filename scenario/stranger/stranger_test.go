package stranger

import (
	"slices"
	"testing"

	"github.com/ctsim/ctsim/scenario"
)

// TestLanguage: the places are found, wherever they are nested, and those whose words are listed are none.
func TestLanguage(t *testing.T) {
	all := Language()
	for _, name := range []string{"Scenario.title", "World.sysctls", "Program.env", "Exec.command", "Input.line", "RuleCheck.rule",
		"Alternative.reason", "ExecCheck.output"} {
		if !slices.Contains(all, name) {
			t.Errorf("%s is not found among %q", name, all)
		}
	}
	for _, name := range []string{"Scenario.name", "Flush.on", "World.backends", "Expect.outcome"} {
		if slices.Contains(all, name) {
			t.Errorf("%s takes no words of the file's own", name)
		}
	}
}

// TestFields: what is set is set in the scenario itself, in its steps, mappings and lists.
func TestFields(t *testing.T) {
	command := &scenario.Exec{Command: []string{"true", "a", "b"}}
	s := &scenario.Scenario{Steps: scenario.Steps{{Name: "exec", Verb: command}}}
	s.World.Sysctls = map[string]map[string]string{"client": {"net.a": "1"}}
	for _, f := range Fields(s) {
		f.Set("new")
	}
	if s.Title != "new" || s.World.Sysctls["client"]["net.a"] != "new" || len(s.World.Sysctls) != 1 || len(s.World.Sysctls["client"]) != 1 ||
		s.World.Client.Env["key"] != "new" || !slices.Equal(command.Command, []string{"true", "new", "new"}) || command.In != "new" {
		t.Errorf("%+v %+v", s, command)
	}
}
