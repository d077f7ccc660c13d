package byhand

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/internal/golden"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
)

// everyVerb is scenarios with every verb in every form that makes a difference by hand.
func everyVerb(t *testing.T) []*scenario.Plan {
	t.Helper()
	data, err := os.ReadFile("testdata/byhand/verbs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := scenario.Parse("verbs.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	var out []*scenario.Plan
	for _, s := range lib.Scenarios {
		out = append(out, builtin.Plan(t, s))
	}
	return out
}

// moments are what a run of the plan may have come to: nothing is known yet, two connections are open, one endpoint and
// one pod are gone.
func moments(p *scenario.Plan) map[string]Moment {
	entries := map[string][]Tracked{}
	for i, left := range []time.Duration{2 * time.Hour, 30 * time.Second} {
		for _, node := range p.NodeNames()[:2] {
			entries[node] = append(entries[node], Tracked{netip.AddrPortFrom(p.Client.Address, uint16(40001+i)), p.Target, left})
		}
	}
	ports := map[int]uint16{1: 40001, 2: 40002}
	out := map[string]Moment{
		"at the start": {Plan: p, Endpoints: p.Service.Endpoints, Pods: p.ServerNames()},
		"two are open": {Plan: p, Endpoints: p.Service.Endpoints, Pods: p.ServerNames(), Serving: "server-1", Connections: []int{1, 2, 3},
			Ports: ports, Entries: entries},
	}
	if last := len(p.Servers) - 1; last > 0 {
		out["the last pod is gone"] = Moment{Plan: p, Endpoints: p.Service.Endpoints[:last], Pods: p.ServerNames()[:last],
			Serving: "server-1", Connections: []int{1}, Ports: ports, Entries: entries}
	}
	return out
}

// TestEveryVerbIsDoneByHand: a verb of the language that has no row in by-hand's table is named, and so is a row that is no
// verb's.
func TestEveryVerbIsDoneByHand(t *testing.T) {
	for _, wrong := range wrongRows(scenario.Verbs(), verbs) {
		t.Error(wrong)
	}
	shown := map[string]bool{}
	for _, p := range everyVerb(t) {
		p.Steps.Walk(func(step scenario.Step) { shown[step.Name] = true })
	}
	for _, step := range scenario.Verbs() {
		if !shown[step.Name] {
			t.Errorf("testdata/byhand/verbs.yaml has no %s: what it is by hand is in no golden file", step.Name)
		}
	}

	// The test itself: it must see what is missing.
	for name := range verbs {
		less := maps.Clone(verbs)
		delete(less, name)
		if got := wrongRows(scenario.Verbs(), less); !slices.Equal(got, []string{name + " has no row"}) {
			t.Errorf("without %s: %q", name, got)
		}
	}
	more := maps.Clone(verbs)
	more["sleep"], more["flush"] = verbs["wait"], verb{skippable: true}
	if got := wrongRows(scenario.Verbs(), more); !slices.Equal(got, []string{"flush has neither commands nor a script", "sleep is no verb"}) {
		t.Errorf("with a row too many, and an empty one: %q", got)
	}
}

// wrongRows compares a table with the verbs of the language.
func wrongRows(language []scenario.Step, table map[string]verb) []string {
	var out []string
	known := map[string]bool{}
	for _, step := range language {
		known[step.Name] = true
		if v, has := table[step.Name]; !has {
			out = append(out, step.Name+" has no row")
		} else if v.commands == nil && v.script == nil {
			out = append(out, step.Name+" has neither commands nor a script")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if !known[name] {
			out = append(out, name+" is no verb")
		}
	}
	return out
}

// TestSkippable: what somebody can do for the run is what is done to the world, not to its sockets.
func TestSkippable(t *testing.T) {
	var got []string
	for _, step := range scenario.Verbs() {
		if Skippable(step) {
			got = append(got, step.Name)
		}
	}
	if want := []string{"age", "delete-entry", "delete-stale", "exec", "flush", "sysctl", "wait"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestBreaking: what may break a connection is what a run takes for its last break, and a command on a node whose entries
// the script does not hear of.
func TestBreaking(t *testing.T) {
	var got []string
	for _, step := range scenario.Verbs() {
		if verbs[step.Name].breaks {
			got = append(got, step.Name)
		}
	}
	want := []string{"add-endpoints", "delete-entry", "delete-stale", "flush", "inject", "kill-pod", "remove-endpoints", "stop-servers", "sysctl", "take-address"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	w := &scriptWriter{plan: builtin.Plan(t, builtin.Find(t, "flush-multi-backend")), rows: verbs}
	for in, want := range map[string]bool{"master": false, "node1": true, "client": false, "server-1": false} {
		if got := w.breaks(scenario.Step{Name: "exec", Verb: &scenario.Exec{In: in}}); got != want {
			t.Errorf("a command in %s may break: %v", in, got)
		}
	}
}

// TestFunctionsDoWhatIsTyped: the script's functions have the very commands that --step tells of, with the script's
// variables in them.
func TestFunctionsDoWhatIsTyped(t *testing.T) {
	library := map[string]string{}
	for _, f := range scriptLibrary() {
		library[f.name] = f.body
	}
	for function, line := range map[string]string{
		"flush":        flushAct(&scenario.Flush{}).line,
		"kill_pod":     killPod(&scenario.KillPod{}).line,
		"set_sysctls":  strings.Replace(sysctlAct(&scenario.SetSysctl{}).line, "=", `"${@:2}"`, 1),
		"delete_stale": deleteStale(`"$protocol"`, `"$service_address"`, `"${address[$name]}"`),
		"age": setLeft(`"$protocol"`, `"$source"`, `"$target"`, `"$sport"`, `"$dport"`,
			`$((left > $2 ? left - $2 : 1))`),
	} {
		if !says(library[function], line) {
			t.Errorf("%s() does not say %s:\n%s", function, line, library[function])
		}
	}
	if says(library["flush"], "conntrack -D") || says(library["age"], setLeft("tcp", "", "", "", "", "")) || says("", "x") {
		t.Error("a command that is not there is found")
	}
}

// says tells whether a function has a command, whether it is on one line or not: in a place, by ip netns exec or ip -n, and
// without a word of sysctl's own.
func says(function, line string) bool {
	text := strings.Join(strings.Fields(strings.ReplaceAll(function, "\\\n", " ")), " ")
	text = strings.NewReplacer(`ip -n "$1" `, `ip netns exec "$1" ip `, "sysctl -q ", "sysctl ").Replace(text)
	return strings.Contains(text, `ip netns exec "$1" `+line) || strings.Contains(text, `ip netns exec "$node" `+line)
}

// TestCommands: what --step says of each verb, for what may be known when the step is about to be taken.
func TestCommands(t *testing.T) {
	var b strings.Builder
	for _, p := range everyVerb(t) {
		all := moments(p)
		for _, when := range []string{"at the start", "two are open", "the last pod is gone"} {
			m, there := all[when]
			if !there {
				continue
			}
			fmt.Fprintf(&b, "# %s, %s\n", p.Scenario, when)
			p.Steps.Walk(func(step scenario.Step) {
				fmt.Fprintf(&b, "%s: %s\n", step.Name, step.Describe())
				for _, c := range Commands(step, m) {
					fmt.Fprintf(&b, "\t%s", c.At)
					if c.Into != "" {
						fmt.Fprintf(&b, ", into %s", c.Into)
					}
					fmt.Fprintf(&b, ": %s\n", c.Line)
				}
			})
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s, while it stands still\n%s\n\n", p.Scenario, strings.Join(Timers(p), "\n"))
	}
	golden.Text(t, "byhand/commands.txt", b.String())
}

// TestScriptedSteps: what a script says of each verb, or why it cannot be one, and of every built-in scenario.
func TestScriptedSteps(t *testing.T) {
	var b strings.Builder
	part := func(p *scenario.Plan, steps scenario.Steps) {
		of := *p
		of.Steps = steps
		text, err := Script(&of)
		if cannot := (*Unscriptable)(nil); errors.As(err, &cannot) {
			fmt.Fprintf(&b, "%v\n", err)
			return
		} else if err != nil {
			t.Error(err)
			return
		}
		_, text, _ = strings.Cut(text, section("the case"))
		text, _, _ = strings.Cut(text, section("what became of it"))
		b.WriteString(strings.TrimLeft(text, "\n"))
	}
	for _, p := range everyVerb(t) {
		for i, step := range p.Steps {
			fmt.Fprintf(&b, "# %s: %s\n", p.Scenario, step)
			steps := p.Steps[i : i+1]
			if i > 0 && p.Steps[0].Name == "connect" {
				steps = scenario.Steps{p.Steps[0], step}
			}
			part(p, steps)
		}
	}
	for _, s := range builtin.Library(t).Scenarios {
		fmt.Fprintf(&b, "# %s\n", s.Name)
		part(builtin.Plan(t, s), builtin.Plan(t, s).Steps)
	}
	golden.Text(t, "byhand/scripts.txt", b.String())
}

// TestLibraryIsNotWritten: whatever is made of scenarios and plans, they stay as they were made; the race detector watches
// many who do it at once.
func TestLibraryIsNotWritten(t *testing.T) {
	library := builtin.Library(t)
	var plans []*scenario.Plan
	for _, s := range library.Scenarios {
		plans = append(plans, builtin.Plan(t, s))
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i, s := range library.Scenarios {
				own, err := s.Plan(scenario.Size{Connections: 3})
				if err != nil {
					own = plans[i] // it cannot have three
				}
				for _, p := range []*scenario.Plan{plans[i], own} {
					_ = p.Describe()
					if _, err := p.JSON(); err != nil {
						t.Error(err)
					}
					_, _ = Script(p) // an error is about the scenario
					p.Steps.Walk(func(step scenario.Step) {
						Commands(step, Moment{Plan: p, Endpoints: p.Service.Endpoints, Pods: p.ServerNames()})
					})
				}
			}
		})
	}
	wait.Wait()
	all := cmp.Exporter(func(reflect.Type) bool { return true })
	address := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(builtin.Library(t), library, all, address, prefix); diff != "" {
		t.Errorf("the library was written to (-made +now):\n%s", diff)
	}
	for i, s := range builtin.Library(t).Scenarios {
		if diff := cmp.Diff(builtin.Plan(t, s), plans[i], all, address, prefix); diff != "" {
			t.Errorf("the plan of %s was written to (-made +now):\n%s", s.Name, diff)
		}
	}
}
