package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
)

// everyVerb is scenarios with every verb in every form that makes a difference by hand.
func everyVerb(t *testing.T) []*Plan {
	t.Helper()
	data, err := os.ReadFile("testdata/byhand/verbs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := Parse("verbs.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	var out []*Plan
	for _, s := range lib.Scenarios {
		out = append(out, planOf(t, s))
	}
	return out
}

// moments are what a run of the plan may have come to: nothing is known yet, two connections are open, one endpoint and
// one pod are gone.
func moments(p *Plan) map[string]moment {
	entries := map[string][]conntrack.Entry{}
	for i, left := range []time.Duration{2 * time.Hour, 30 * time.Second} {
		for _, node := range p.NodeNames()[:2] {
			entries[node] = append(entries[node], conntrack.Entry{Timeout: left,
				Original: conntrack.Tuple{Src: netip.AddrPortFrom(p.Client.Address, uint16(40001+i)), Dst: p.Target}})
		}
	}
	ports := map[int]uint16{1: 40001, 2: 40002}
	out := map[string]moment{
		"at the start": {plan: p, endpoints: p.Service.Endpoints, pods: p.ServerNames()},
		"two are open": {plan: p, endpoints: p.Service.Endpoints, pods: p.ServerNames(), serving: "server-1", ids: []int{1, 2, 3},
			ports: ports, entries: entries},
	}
	if last := len(p.Servers) - 1; last > 0 {
		out["the last pod is gone"] = moment{plan: p, endpoints: p.Service.Endpoints[:last], pods: p.ServerNames()[:last],
			serving: "server-1", ids: []int{1}, ports: ports, entries: entries}
	}
	return out
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
			p.Steps.walk(func(step Step) {
				fmt.Fprintf(&b, "%s: %s\n", step.Name, step.Describe())
				for _, c := range commandsOf(step, m) {
					fmt.Fprintf(&b, "\t%s", c.At)
					if c.Into != "" {
						fmt.Fprintf(&b, ", into %s", c.Into)
					}
					fmt.Fprintf(&b, ": %s\n", c.Line)
				}
			})
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s, while it stands still\n%s\n\n", p.Scenario, strings.Join(timers(p), "\n"))
	}
	golden(t, "byhand/commands.txt", b.String())
}

// TestScriptedSteps: what a script says of each verb, or why it cannot be one, and of every built-in scenario.
func TestScriptedSteps(t *testing.T) {
	var b strings.Builder
	part := func(p *Plan, steps Steps) {
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
				steps = Steps{p.Steps[0], step}
			}
			part(p, steps)
		}
	}
	for _, s := range builtin(t).Scenarios {
		fmt.Fprintf(&b, "# %s\n", s.Name)
		part(planOf(t, s), planOf(t, s).Steps)
	}
	golden(t, "byhand/scripts.txt", b.String())
}
