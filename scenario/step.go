package scenario

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// action is what a step does: one kind of step, one type, one file. A new one also needs its line in three tables, each of
// which a test holds complete: stepKinds for the language, take for the run, verbs for what is done by hand.
type action interface {
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
	make   func() action
	effect effect
}

// stepKinds is the language's verbs.
var stepKinds = map[string]kind{
	"connect":          {func() action { return &connectStep{Timeout: ConnectTimeout} }, uses},
	"send":             {func() action { return &sendStep{From: "client"} }, uses},
	"shutdown":         {func() action { return &shutdownStep{} }, uses},
	"flush":            {func() action { return &flushStep{On: "all"} }, breaks},
	"delete-stale":     {func() action { return &deleteStaleStep{} }, breaks},
	"age":              {func() action { return &ageStep{} }, breaks},
	"wait":             {func() action { return &waitStep{} }, breaks},
	"close":            {func() action { return &closeStep{} }, breaks},
	"receive":          {func() action { return &receiveStep{AtMost: 5 * time.Second} }, uses},
	"delete-entry":     {func() action { return &deleteEntryStep{On: nodeMaster} }, breaks},
	"sysctl":           {func() action { return &sysctlStep{} }, breaks},
	"remove-endpoints": {func() action { return &removeEndpointsStep{} }, breaks},
	"add-endpoints":    {func() action { return &addEndpointsStep{} }, breaks},
	"stop-servers":     {func() action { return &stopServerStep{} }, breaks},
	"kill-pod":         {func() action { return &killPodStep{} }, breaks},
	"take-address":     {func() action { return &takeAddressStep{} }, breaks},
	"inject":           {func() action { return &injectStep{Flag: "ACK"} }, breaks},
	"exec":             {func() action { return &execStep{} }, breaks},
	"start-client":     {func() action { return &startClientStep{Quiet: quiet, AtMost: programTimeout} }, uses},
	"input":            {func() action { return &inputStep{} }, uses},
	"use":              {func() action { return &useStep{AtMost: programTimeout} }, uses},
	"repeat":           {func() action { return &repeatStep{AtMost: 64} }, uses},
}

// stepNames lists the kinds of steps by name.
func stepNames() []string { return slices.Sorted(maps.Keys(stepKinds)) }

// Verbs is a step of each verb of the language, by name and with the defaults that a file need not give: what each table
// that has a case for every verb is tested with.
func Verbs() []Step {
	var out []Step
	for _, name := range stepNames() {
		out = append(out, Step{Name: name, action: stepKinds[name].make()})
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
	s.action = stepKinds[name].make()
	s.place.Field = strictyaml.Join(path, name)
	d.Body(body, n, s.place.Field, s.action)
	strictyaml.SetDefaults(s.action)
}

// Walk calls f for every step, those inside a repeat too.
func (steps Steps) Walk(f func(Step)) {
	for _, s := range steps {
		f(s)
		if r, ok := s.action.(*repeatStep); ok {
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
	return s.action.describe()
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
