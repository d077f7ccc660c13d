package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// action is what a step does: one kind of step, one type, one file and one line in the table below.
type action interface {
	// describe says in words what the step does.
	describe() string
	// commands are what a person would type to do the same by hand; nil if nothing would be typed. They are in typed.go.
	commands(m moment) []Command
	// run does it to the connections given.
	run(ctx context.Context, r *run, active []*flow) error
	// check reports what the plan cannot do, given the scenario it stands in.
	check(s Scenario) string
}

// stepKinds is the language's verbs.
var stepKinds = map[string]func() action{
	"connect":          func() action { return &connectStep{Timeout: connectTimeout} },
	"send":             func() action { return &sendStep{From: "client"} },
	"shutdown":         func() action { return &shutdownStep{} },
	"flush":            func() action { return &flushStep{On: "all"} },
	"delete-stale":     func() action { return &deleteStaleStep{} },
	"age":              func() action { return &ageStep{} },
	"wait":             func() action { return &waitStep{} },
	"close":            func() action { return &closeStep{} },
	"receive":          func() action { return &receiveStep{AtMost: 5 * time.Second} },
	"delete-entry":     func() action { return &deleteEntryStep{On: nodeMaster} },
	"sysctl":           func() action { return &sysctlStep{} },
	"remove-endpoints": func() action { return &removeEndpointsStep{} },
	"add-endpoints":    func() action { return &addEndpointsStep{} },
	"stop-servers":     func() action { return &stopServerStep{} },
	"kill-pod":         func() action { return &killPodStep{} },
	"take-address":     func() action { return &takeAddressStep{} },
	"inject":           func() action { return &injectStep{Flag: "ACK"} },
	"exec":             func() action { return &execStep{} },
	"start-client":     func() action { return &startClientStep{Quiet: quiet, AtMost: programTimeout} },
	"input":            func() action { return &inputStep{} },
	"use":              func() action { return &useStep{AtMost: programTimeout} },
	"repeat":           func() action { return &repeatStep{AtMost: 64} },
}

// stepNames lists the kinds of steps by name.
func stepNames() []string {
	names := make([]string, 0, len(stepKinds))
	for name := range stepKinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
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
	s.action = stepKinds[name]()
	s.place.Field = strictyaml.Join(path, name)
	d.Body(body, n, s.place.Field, s.action)
}

// walk calls f for every step, those inside a repeat too.
func (steps Steps) walk(f func(Step)) {
	for _, s := range steps {
		f(s)
		if r, ok := s.action.(*repeatStep); ok {
			r.Steps.walk(f)
		}
	}
}

// breaks is false for what opens connections and speaks on them: everything else may change what becomes of them.
func (s Step) breaks() bool {
	return !slices.Contains([]string{"connect", "send", "receive", "shutdown", "repeat", "start-client", "input", "use"}, s.Name)
}

// Describe is the step in words, on one line.
func (s Step) Describe() string { return s.action.describe() }

func (s Step) String() string { return fmt.Sprintf("%s (line %d)", s.Name, s.Line) }
