package scenario

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Library is the scenarios of one file, in its order.
type Library struct {
	Scenarios []Scenario
}

// Parse decodes and checks a scenario file. The error, if any, is Problems: everything wrong with the file at once.
// File is the name used in problems. It needs no privileges and starts nothing.
func Parse(file string, data []byte) (*Library, error) {
	d := &decoder{file: file, fields: map[string]Problem{}}
	lib := &Library{}
	if root := d.parse(data); root != nil {
		d.library(root, lib)
	}
	for _, s := range lib.Scenarios {
		for _, p := range s.problems() {
			d.problems = append(d.problems, d.nearer(p))
		}
	}
	if len(d.problems) > 0 {
		d.problems.sort()
		return nil, d.problems
	}
	return lib, nil
}

// file is the root of a scenario file.
type file struct {
	Scenarios []Scenario `yaml:"scenarios,required" doc:"The scenarios, in the order in which they are listed."`
}

// library decodes the root mapping; scenarios that cannot be decoded are left out, their problems noted.
func (d *decoder) library(root ast.Node, lib *Library) {
	var f file
	d.value(root, "", reflect.ValueOf(&f).Elem(), "")
	if len(f.Scenarios) == 0 && len(d.problems) == 0 {
		d.problem(root, "scenarios", "", "the list is empty")
	}
	seen := map[string]bool{}
	for _, s := range f.Scenarios {
		if s.Name != "" && seen[s.Name] {
			p := s.place
			p.Field, p.Text = p.Field+".name", "the name "+s.Name+" is used twice"
			d.problems = append(d.problems, p)
		}
		seen[s.Name] = true
	}
	lib.Scenarios = slices.DeleteFunc(f.Scenarios, func(s Scenario) bool { return !s.sound })
}

// nearer moves a problem that has no closer place than its scenario to the field it is about, or to the one that holds
// it, if the file has it.
func (d *decoder) nearer(p Problem) Problem {
	for field := p.Field; field != ""; {
		if at, known := d.fields[field]; known {
			if at.Line > p.Line {
				p.Line, p.Column = at.Line, at.Column
			}
			break
		}
		field = field[:max(strings.LastIndexByte(field, '.'), 0)]
	}
	return p
}

// decodeNode notes where the scenario stands and fills in the defaults of what it leaves out.
func (s *Scenario) decodeNode(d *decoder, n ast.Node, path string) {
	type bare Scenario
	b := (*bare)(s)
	before := len(d.problems)
	d.structure(n, path, reflect.ValueOf(b).Elem())
	s.place, s.sound = d.at(n, path), len(d.problems) == before
	setDefaults(reflect.ValueOf(b).Elem())
}

// Find gives the scenario of that name.
func (l *Library) Find(name string) (Scenario, bool) {
	for _, s := range l.Scenarios {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// Nearest is the name most like the given one, empty if none is near.
func (l *Library) Nearest(name string) string {
	names := make([]string, len(l.Scenarios))
	for i, s := range l.Scenarios {
		names[i] = s.Name
	}
	return Nearest(name, names)
}
