package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ctsim/ctsim/evidence/account"
)

// Trial is a question about a program of the user's own: does its connection survive a fault? It is asked as a
// scenario, so that the same can stand in a file.
type Trial struct {
	// Client is needed; without Server, ctsim's own server stands behind the service: it reads and never answers.
	Client, Server string
	// User runs both programs as another user; empty is ctsim's own.
	User           string
	Port, Backends int
	// Fault is one of Faults.
	Fault string
	// Timeout is the established timeout of the nodes' conntrack, what Expire waits for.
	Timeout time.Duration
	// After is how long the connection is idle before the fault, Quiet how long nothing may have come or gone for it to
	// count as idle at all, Hold how long the client may take for everything else, Ready the server until it listens.
	After, Quiet, Hold, Ready time.Duration
	// Printed is what the client prints before it counts as idle; empty for nothing. First is typed to it then, Input after the fault; without Input the client acts when it
	// likes.
	Printed, First, Input string
	// Expect is the outcome that passes; empty is one that a user does not notice: survived or reconnected.
	Expect account.Outcome
}

// Fault is what a trial does to the connection.
type Fault struct {
	Name, Text string
	steps      func(t Trial, use any) []any
}

// Faults are all faults, the first is the default.
var Faults = []Fault{
	{"flush", "the conntrack tables of the nodes are flushed", func(t Trial, use any) []any {
		return t.untilRerouted("flush", use)
	}},
	{"expire", "the conntrack entry expires while the connection is idle", func(t Trial, use any) []any {
		return t.untilRerouted(yaml.MapSlice{{Key: "age", Value: t.Timeout.String()}}, use)
	}},
	{"endpoint-removed", "the connection's endpoint is taken out of the service, then the entry is lost", func(_ Trial, use any) []any {
		return []any{yaml.MapSlice{{Key: "remove-endpoints", Value: "serving"}}, "flush", use}
	}},
	{"pod-gone", "the connection's pod goes away without a word, as in a crash of its node", func(_ Trial, use any) []any {
		return []any{yaml.MapSlice{{Key: "kill-pod", Value: "serving"}}, use}
	}},
	{"loose-off", "the tables are flushed where nf_conntrack_tcp_loose is 0: packets in mid-stream are dropped", func(t Trial, use any) []any {
		return []any{"flush", use}
	}},
}

// FaultNames are their names.
func FaultNames() []string {
	names := make([]string, len(Faults))
	for i, f := range Faults {
		names[i] = f.Name
	}
	return names
}

// untilRerouted repeats a break until the flow has another backend. With one backend once is enough.
func (t Trial) untilRerouted(breaks, use any) []any {
	if t.Backends == 1 {
		return []any{breaks, use}
	}
	return []any{yaml.MapSlice{{Key: "repeat", Value: yaml.MapSlice{
		{Key: "until", Value: "rerouted"}, {Key: "steps", Value: []any{breaks, use}}}}}}
}

// YAML is the trial as a scenario file.
func (t Trial) YAML() ([]byte, error) {
	var fault *Fault
	for i := range Faults {
		if Faults[i].Name == t.Fault {
			fault = &Faults[i]
		}
	}
	if fault == nil {
		return nil, fmt.Errorf("fault %q, want one of %s", t.Fault, strings.Join(FaultNames(), ", "))
	}
	use := yaml.MapSlice{{Key: "at_most", Value: t.Hold.String()}}
	if t.Input != "" {
		use = append(yaml.MapSlice{{Key: "input", Value: t.Input}}, use...)
	}
	start := yaml.MapSlice{{Key: "quiet", Value: t.Quiet.String()}, {Key: "at_most", Value: t.Hold.String()}}
	if t.Printed != "" {
		start = append(yaml.MapSlice{{Key: "printed", Value: t.Printed}}, start...)
	}
	if t.First != "" {
		start = append(yaml.MapSlice{{Key: "input", Value: t.First}}, start...)
	}
	steps := []any{yaml.MapSlice{{Key: "start-client", Value: start}}}
	if t.After > 0 {
		steps = append(steps, yaml.MapSlice{{Key: "wait", Value: t.After.String()}})
	}
	steps = append(steps, fault.steps(t, yaml.MapSlice{{Key: "use", Value: use}})...)
	return yaml.MarshalWithOptions(yaml.MapSlice{{Key: "scenarios", Value: []any{yaml.MapSlice{
		{Key: "name", Value: "try"},
		{Key: "title", Value: "what becomes of the program's connection when " + fault.Text},
		{Key: "world", Value: t.world()},
		{Key: "steps", Value: steps},
		{Key: "expect", Value: t.expect()},
	}}}}, yaml.IndentSequence(true), yaml.UseLiteralStyleIfMultiline(true))
}

func (t Trial) world() yaml.MapSlice {
	out := yaml.MapSlice{
		{Key: "backends", Value: t.Backends},
		{Key: "service", Value: yaml.MapSlice{{Key: "port", Value: t.Port}}},
		{Key: "client", Value: t.program(t.Client, 0)},
	}
	if t.Server != "" {
		out = append(out, yaml.MapItem{Key: "server", Value: t.program(t.Server, t.Ready)})
	}
	out = append(out, yaml.MapItem{Key: "conntrack", Value: yaml.MapSlice{{Key: "established", Value: t.Timeout.String()}}})
	if t.Fault == "loose-off" {
		out = append(out, yaml.MapItem{Key: "sysctls", Value: yaml.MapSlice{{Key: "nodes",
			Value: yaml.MapSlice{{Key: "net.netfilter.nf_conntrack_tcp_loose", Value: "0"}}}}})
	}
	return out
}

func (t Trial) program(command string, ready time.Duration) yaml.MapSlice {
	out := yaml.MapSlice{{Key: "exec", Value: command}}
	if t.User != "" {
		out = append(out, yaml.MapItem{Key: "user", Value: t.User})
	}
	if ready > 0 {
		out = append(out, yaml.MapItem{Key: "ready", Value: ready.String()})
	}
	return out
}

func (t Trial) expect() yaml.MapSlice {
	if t.Expect != "" {
		return yaml.MapSlice{{Key: "outcome", Value: string(t.Expect)}}
	}
	return yaml.MapSlice{{Key: "outcome", Value: string(account.Survived)}, {Key: "alternatives", Value: []any{yaml.MapSlice{
		{Key: "reason", Value: "the program opened a new connection by itself"},
		{Key: "expect", Value: yaml.MapSlice{{Key: "outcome", Value: string(account.Reconnected)}}}}}}}
}

// Scenario is the trial as a scenario; the error is Problems.
func (t Trial) Scenario() (Scenario, error) {
	data, err := t.YAML()
	if err != nil {
		return Scenario{}, err
	}
	lib, err := Parse("try", data)
	if err != nil {
		return Scenario{}, err
	}
	lib.Scenarios[0].Steps.forget()
	return lib.Scenarios[0], nil
}

// forget takes the lines off the steps: nobody has written the file that they are of.
func (steps Steps) forget() {
	for i := range steps {
		steps[i].Line = 0
		if r, ok := steps[i].Verb.(*Repeat); ok {
			r.Steps.forget()
		}
	}
}
