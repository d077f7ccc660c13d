package scenario

import (
	"slices"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// Library is the scenarios of one file, in its order.
type Library struct {
	Scenarios []Scenario
}

// maxFile is thirty times what ctsim's own scenarios have, in bytes, and keeps a hostile file from taking the memory.
const maxFile = 1 << 20

// Parse decodes and checks a scenario file. The error, if any, is Problems: everything wrong with the file at once.
// File is the name used in problems. It needs no privileges and starts nothing.
func Parse(file string, data []byte) (*Library, error) {
	d := strictyaml.New(file)
	lib := &Library{}
	if root := rootOf(d, data); root != nil {
		lib.decode(d, root)
	}
	for _, s := range lib.Scenarios {
		for _, p := range s.problems() {
			d.Add(p)
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return lib, nil
}

// rootOf gives the root of the one document in data, nil if there is none.
func rootOf(d *strictyaml.Decoder, data []byte) strictyaml.Node {
	docs := d.Documents(data, "a scenario file", maxFile)
	switch len(docs) {
	case 0:
		if d.Count() == 0 {
			d.Problem(nil, "", "start with `scenarios:`", "the file holds no scenario")
		}
		return nil
	case 1:
		return docs[0]
	}
	d.Problem(docs[1], "", "put all under one `scenarios:`", "a second YAML document")
	return docs[0]
}

// file is the root of a scenario file.
type file struct {
	Scenarios []Scenario `yaml:"scenarios,required" doc:"The scenarios, in the order in which they are listed."`
}

// decode reads the root mapping; scenarios that cannot be decoded are left out, their problems noted.
func (l *Library) decode(d *strictyaml.Decoder, root strictyaml.Node) {
	var f file
	d.Decode(root, &f)
	if len(f.Scenarios) == 0 && d.Count() == 0 {
		d.Problem(root, "scenarios", "", "the list is empty")
	}
	seen := map[string]bool{}
	for _, s := range f.Scenarios {
		if s.Name != "" && seen[s.Name] {
			p := s.place
			p.Field, p.Text = p.Field+".name", "the name "+s.Name+" is used twice"
			d.Add(p)
		}
		seen[s.Name] = true
	}
	l.Scenarios = slices.DeleteFunc(f.Scenarios, func(s Scenario) bool { return !s.sound })
}

// DecodeYAML notes where the scenario stands and fills in the defaults of what it leaves out.
func (s *Scenario) DecodeYAML(d *strictyaml.Decoder, n strictyaml.Node, path string) {
	type bare Scenario
	b := (*bare)(s)
	before := d.Count()
	d.Struct(n, path, b)
	s.place, s.sound = d.At(n, path), d.Count() == before
	strictyaml.SetDefaults(b)
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
	return strictyaml.Nearest(name, names)
}
