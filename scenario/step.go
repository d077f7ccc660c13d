package scenario

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// Verb is what a step does: one kind of step, one type. A new one also needs its line in three tables, each of which a
// test holds complete: stepKinds here for the language, take in replay for the run, verbs in byhand for what is done by
// hand.
type Verb interface {
	// describe says in words what the step does.
	describe() string
	// check reports what the plan cannot do, given the scenario it stands in.
	check(s Scenario) string
}

// effect is what a verb may do to a connection that is open.
type effect int

const (
	// uses is for what opens connections, speaks on them, or repeats: by itself it leaves them as they are.
	uses effect = iota + 1
	// breaks is for everything else, which may change what becomes of them.
	breaks
)

// kind is one verb: its step with the defaults that are no zero values, and its effect.
type kind struct {
	make   func() Verb
	effect effect
}

// stepKinds is the language's verbs.
var stepKinds = map[string]kind{
	"connect":          {func() Verb { return &Connect{Timeout: ConnectTimeout} }, uses},
	"send":             {func() Verb { return &Send{From: "client"} }, uses},
	"shutdown":         {func() Verb { return &Shutdown{} }, uses},
	"flush":            {func() Verb { return &Flush{On: "all"} }, breaks},
	"delete-stale":     {func() Verb { return &DeleteStale{} }, breaks},
	"age":              {func() Verb { return &Age{} }, breaks},
	"wait":             {func() Verb { return &Wait{} }, breaks},
	"close":            {func() Verb { return &Close{} }, breaks},
	"receive":          {func() Verb { return &Receive{AtMost: 5 * time.Second} }, uses},
	"delete-entry":     {func() Verb { return &DeleteEntry{On: NodeMaster} }, breaks},
	"sysctl":           {func() Verb { return &SetSysctl{} }, breaks},
	"remove-endpoints": {func() Verb { return &RemoveEndpoints{} }, breaks},
	"add-endpoints":    {func() Verb { return &AddEndpoints{} }, breaks},
	"stop-servers":     {func() Verb { return &StopServers{} }, breaks},
	"kill-pod":         {func() Verb { return &KillPod{} }, breaks},
	"take-address":     {func() Verb { return &TakeAddress{} }, breaks},
	"inject":           {func() Verb { return &Inject{Flag: "ACK"} }, breaks},
	"exec":             {func() Verb { return &Exec{} }, breaks},
	"start-client":     {func() Verb { return &StartClient{Quiet: quiet, AtMost: programTimeout} }, uses},
	"input":            {func() Verb { return &Input{} }, uses},
	"use":              {func() Verb { return &Use{AtMost: programTimeout} }, uses},
	"repeat":           {func() Verb { return &Repeat{AtMost: 64} }, uses},
}

// stepNames lists the kinds of steps by name.
func stepNames() []string { return slices.Sorted(maps.Keys(stepKinds)) }

// Verbs is a step of each verb of the language, by name and with the defaults that a file need not give: what each table
// that has a case for every verb is tested with.
func Verbs() []Step {
	var out []Step
	for _, name := range stepNames() {
		out = append(out, Step{Name: name, Verb: stepKinds[name].make()})
	}
	return out
}

// DecodeYAML reads `- send` or `- send: {from: server}`.
func (s *Step) DecodeYAML(d *strictyaml.Decoder, n strictyaml.Node, path string) {
	s.place = d.At(n, path)
	s.Line = s.place.Line
	name, body, known := d.Named(n, path, "step", stepNames())
	s.Name = name
	if !known {
		return
	}
	s.Verb = stepKinds[name].make()
	s.place.Field = strictyaml.Join(path, name)
	d.Body(body, n, s.place.Field, s.Verb)
	strictyaml.SetDefaults(s.Verb)
}

// Walk calls f for every step, those inside a repeat too.
func (steps Steps) Walk(f func(Step)) {
	for _, s := range steps {
		f(s)
		if r, ok := s.Verb.(*Repeat); ok {
			r.Steps.Walk(f)
		}
	}
}

// Breaks is false for what opens connections and speaks on them: everything else may change what becomes of them.
func (s Step) Breaks() bool { return stepKinds[s.Name].effect == breaks }

// Describe is the step in words, on one line.
func (s Step) Describe() string {
	if s.Text != "" {
		return s.Text
	}
	return s.Verb.describe()
}

// InThisRun is a step of a plan in words, and how long it takes here if that is not what it says.
func (s Step) InThisRun() string {
	if s.Here != "" {
		return s.Text + " (" + s.Here + " here)"
	}
	return s.Text
}

// String is the step's kind and where it stands in its file, if it does.
func (s Step) String() string {
	if s.Line == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s (line %d)", s.Name, s.Line)
}
