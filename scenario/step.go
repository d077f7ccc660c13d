package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// action is what a step does: one kind of step, one type, one file and one line in the table below.
type action interface {
	// describe says in words what the step does.
	describe() string
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

// decodeNode reads `- send` or `- send: {from: server}`.
func (s *Step) decodeNode(d *decoder, n ast.Node, path string) {
	s.place = d.at(n, path)
	s.Line = s.place.Line
	var body ast.Node
	switch t := n.(type) {
	case *ast.StringNode:
		s.Name = t.Value
	case *ast.MappingNode:
		if len(t.Values) != 1 {
			d.problem(n, path, "put each step on a line of its own, with its own dash", "%d keys, want one step", len(t.Values))
			return
		}
		s.Name, body = keyText(t.Values[0]), plain(t.Values[0].Value)
	default:
		d.problem(n, path, "", "%s, want a step: %s", what(n), strings.Join(stepNames(), ", "))
		return
	}
	make, known := stepKinds[s.Name]
	if !known {
		d.problem(n, path, didYouMean(s.Name, stepNames()), "unknown step %q, want one of %s", s.Name,
			strings.Join(stepNames(), ", "))
		return
	}
	s.action = make()
	s.place.Field = join(path, s.Name)
	if body == nil || body.Type() == ast.NullType {
		body = nil
	}
	d.step(body, n, join(path, s.Name), reflect.ValueOf(s.action).Elem())
	setDefaults(reflect.ValueOf(s.action).Elem())
}

// step decodes a step's body: a mapping, or a scalar for the field tagged `short`.
func (d *decoder) step(body, whole ast.Node, path string, v reflect.Value) {
	if m, ok := body.(*ast.MappingNode); ok {
		d.structure(m, path, v)
		return
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name, required := fieldName(f); required && body == nil {
			d.problem(whole, join(path, name), "", "missing")
		}
		if f.Tag.Get("short") != "" && body != nil {
			d.value(body, path, v.Field(i), f.Tag)
			return
		}
	}
	if body != nil {
		d.problem(body, path, "", "%s, want a mapping", what(body))
	}
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
