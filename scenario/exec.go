package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// ExecCheck is how a command of a step exec must end, every time that it is run.
type ExecCheck struct {
	Name   string `yaml:"name" pattern:"^[a-z0-9]+(-[a-z0-9]+)*$" doc:"The step exec of that name."`
	Number int    `yaml:"number" min:"1" max:"1000" doc:"Instead of a name: the step exec of that number, from 1 in the order of the file."`
	Exit   *int   `yaml:"exit" min:"0" max:"255" doc:"Its exit code; 0 if it is not set and the step does not say may_fail."`
	Output string `yaml:"output" text:"data" doc:"What its output, stdout and stderr together, must hold."`

	// command is what runs, in words; empty before the plan is settled.
	command string
}

// Execs are the commands of the plan's steps in the order of the file; a check's Number counts from 1.
func (p *Plan) Execs() []*Exec { return p.Steps.execs() }

func (steps Steps) execs() []*Exec {
	var out []*Exec
	steps.Walk(func(s Step) {
		if e, ok := s.Verb.(*Exec); ok {
			out = append(out, e)
		}
	})
	return out
}

// find is the command that a check speaks of, by its number from 1; 0 if there is none.
func (x ExecCheck) find(execs []*Exec) int {
	if x.Name != "" {
		return 1 + slices.IndexFunc(execs, func(e *Exec) bool { return e.Name == x.Name })
	}
	if x.Number > len(execs) {
		return 0
	}
	return x.Number
}

// withExecs is the expectation with every check's number, and with one for every command that must not fail although
// nothing is said of it.
func (x Expect) withExecs(steps Steps) Expect {
	execs := steps.execs()
	var all []ExecCheck
	said := map[int]bool{}
	for _, c := range x.Exec {
		if c.Number = c.find(execs); c.Number > 0 {
			said[c.Number] = true
			all = append(all, c.of(execs[c.Number-1]))
		} else {
			all = append(all, c) // not in this plan
		}
	}
	for i, e := range execs {
		if !said[i+1] && !e.MayFail {
			all = append(all, ExecCheck{Name: e.Name, Number: i + 1}.of(e))
		}
	}
	x.Exec = all
	x.Alternatives = slices.Clone(x.Alternatives)
	for i := range x.Alternatives {
		x.Alternatives[i].Expect = x.Alternatives[i].Expect.withExecs(steps)
	}
	return x
}

// of is the check with what it takes from its step.
func (x ExecCheck) of(e *Exec) ExecCheck {
	x.command = "`" + e.words() + "` in " + e.In
	if x.Exit == nil && !e.MayFail {
		x.Exit = new(int)
	}
	return x
}

// Text gives the command, its exit code and what it prints.
func (x ExecCheck) Text(int) string {
	text := x.command
	if text == "" {
		text = fmt.Sprintf("command %d", x.Number)
	}
	var words []string
	if x.Exit != nil {
		words = append(words, fmt.Sprintf("exits with %d", *x.Exit))
	}
	if x.Output != "" {
		words = append(words, fmt.Sprintf("prints %q", x.Output))
	}
	return text + " " + strings.Join(words, " and ")
}

// checkExecs reports checks of commands that are not there, and names that two commands have.
func (s Scenario) checkExecs(p *checks, field string, x Expect) {
	execs := s.Steps.execs()
	for i, c := range x.Exec {
		at := fmt.Sprintf("%s.exec[%d]", field, i)
		n := c.find(execs)
		switch {
		case (c.Name == "") == (c.Number == 0):
			p.add(at, "", "want either name or number")
		case n == 0 && c.Name != "":
			p.add(at+".name", "", "no step exec has the name %s", c.Name)
		case n == 0:
			p.add(at+".number", "", "there is no step exec %d, only %d", c.Number, len(execs))
		case execs[n-1].MayFail && c.Exit == nil && c.Output == "":
			p.add(at, "", "the step may fail, want exit or output: this expects nothing")
		}
	}
}

// sameName says that an earlier command has the name of this one; empty if none has.
func (s Scenario) sameName(e *Exec) string {
	for _, other := range s.Steps.execs() {
		if other == e {
			return ""
		}
		if e.Name != "" && other.Name == e.Name {
			return "the name " + e.Name + " is used twice"
		}
	}
	return ""
}
