package strictyaml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample has a field of each type that can be decoded.
type sample struct {
	Name   string            `yaml:"name,required" pattern:"^[a-z]+$"`
	Color  string            `yaml:"color" enum:"red,green" default:"green"`
	Text   string            `yaml:"text" scalar:"yes"`
	IP     string            `yaml:"ip" format:"ipv4"`
	Count  int               `yaml:"count" min:"1" max:"9" default:"3"`
	Free   int               `yaml:"free"`
	On     bool              `yaml:"on"`
	Flag   *bool             `yaml:"flag"`
	For    time.Duration     `yaml:"for" min:"1s" max:"1h" unit:"1s" default:"5s"`
	Labels map[string]string `yaml:"labels"`
	Inner  inner             `yaml:"inner"`
	Maybe  *inner            `yaml:"maybe"`
	List   []inner           `yaml:"list"`
	Verbs  []verb            `yaml:"verbs"`
	hidden int               //lint:ignore U1000 a field that is not exported is none of the language's
}

type inner struct {
	A int `yaml:"a" default:"7"`
}

// verb decodes itself.
type verb struct {
	name  string
	place Problem
	say   sayVerb
}

type sayVerb struct {
	What string `yaml:"what,required" short:"yes"`
	Loud bool   `yaml:"loud"`
}

func (v *verb) DecodeYAML(d *Decoder, n Node, path string) {
	v.place = d.At(n, path)
	name, body, ok := d.Named(n, path, "verb", []string{"say", "stop"})
	if v.name = name; !ok {
		return
	}
	if name == "say" {
		d.Body(body, n, Join(path, name), &v.say)
	} else {
		d.Body(body, n, Join(path, name), &struct{}{})
	}
}

func decode(t *testing.T, text string) (sample, []string) {
	t.Helper()
	var s sample
	d := New("f")
	for _, root := range d.Documents([]byte(text), "a test", 1000) {
		d.Decode(root, &s)
	}
	err := d.Err()
	if err == nil {
		return s, nil
	}
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != d.Count() {
		t.Fatalf("%d problems, error %#v", d.Count(), err)
	}
	return s, strings.Split(err.Error(), "\n")
}

func TestDecode(t *testing.T) {
	const text = `
name: abc
text: 1.50
ip: 10.0.0.1
count: 9
free: -4
on: true
flag: false
for: 1m
labels: {x: y, "a b": "1"}
maybe:
list: [{a: 1}, {}]
verbs:
- stop
- say: hello
- say: {what: hello, loud: true}
`
	off := false
	want := sample{Name: "abc", Text: "1.50", IP: "10.0.0.1", Count: 9, Free: -4, On: true, Flag: &off, For: time.Minute,
		Labels: map[string]string{"x": "y", "a b": "1"}, Maybe: &inner{}, List: []inner{{1}, {}},
		Verbs: []verb{{name: "stop", place: Problem{File: "f", Line: 14, Column: 3, Field: "verbs[0]"}},
			{name: "say", place: Problem{File: "f", Line: 15, Column: 3, Field: "verbs[1]"}, say: sayVerb{What: "hello"}},
			{name: "say", place: Problem{File: "f", Line: 16, Column: 3, Field: "verbs[2]"}, say: sayVerb{"hello", true}}}}
	got, problems := decode(t, text)
	opts := cmp.Exporter(func(reflect.Type) bool { return true })
	if diff := cmp.Diff(want, got, opts); diff != "" || problems != nil {
		t.Errorf("-want +got:\n%s\nproblems: %q", diff, problems)
	}
	SetDefaults(&got)
	want.Color, want.Inner.A, want.Maybe.A, want.List[1].A = "green", 7, 7, 7
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("defaults: -want +got:\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"missing", "count: 3", "f:1:1: name: missing"},
		{"unknown", "name: a\ncolour: red", "f:2:1: colour: unknown field (did you mean color?)"},
		{"twice", "name: a\nname: b", "f:2:1: name: given twice"},
		{"twice in a map", "name: a\nlabels:\n  x: y\n  x: z", "f:4:3: labels.x: given twice"},
		{"pattern", "name: A1", `f:1:7: name: "A1" does not match ^[a-z]+$`},
		{"enum", "name: a\ncolor: gren", `f:2:8: color: "gren", want one of red, green (did you mean green?)`},
		{"address", "name: a\nip: ::1", `f:2:5: ip: "::1", want an IPv4 address`},
		{"range", "name: a\ncount: 10", "f:2:8: count: 10 is out of range, want a whole number from 1 to 9"},
		{"far out of range", "name: a\nfree: 99999999999999999999", "want a whole number"},
		{"fraction", "name: a\ncount: 1.5", "f:2:8: count: 1.5, want a whole number from 1 to 9"},
		{"no number", "name: a\ncount: [1]", "f:2:8: count: a list, want a whole number from 1 to 9"},
		{"no truth value", "name: a\non: 1", "f:2:5: on: 1, want true or false"},
		{"no text", "name: 7", "f:1:7: name: 7, want text (quote it)"},
		{"nothing", "name:", "f:1:7: name: nothing, want text"},
		{"no unit", "name: a\nfor: 3", "f:2:6: for: 3, want a duration like 500ms, 3s or 24h (write a unit)"},
		{"no duration", "name: a\nfor: soon", `f:2:6: for: "soon", want a duration like 500ms, 3s or 24h`},
		{"long", "name: a\nfor: 2h", "f:2:6: for: 2h is out of range, want a duration from 1s to 1h"},
		{"part of a unit", "name: a\nfor: 1500ms", "f:2:6: for: 1500ms is not a multiple of 1s, the kernel's unit"},
		{"no mapping", "name: a\ninner: [a]", "f:2:8: inner: a list, want a mapping"},
		{"no map", "name: a\nlabels: x", `f:2:9: labels: "x", want a mapping`},
		{"no list", "name: a\nlist: {a: 1}", "f:2:8: list: a mapping, want a list"},
		{"in a list", "name: a\nlist:\n- a: 1\n- b: 1", "f:4:3: list[1].b: unknown field"},
		{"alias", "name: &n a\ncolor: *n", "f:2:8: color: aliases and merge keys are not part of the language (write it out)"},
		{"merge key", "name: a\ninner: {<<: {a: 1}}", "aliases and merge keys are not part of the language"},
		{"hidden", "name: a\nhidden: 1", "f:2:1: hidden: unknown field"},
		{"verb", "name: a\nverbs: [sey]", `f:2:9: verbs[0]: unknown verb "sey", want one of say, stop (did you mean say?)`},
		{"two verbs", "name: a\nverbs:\n- say: a\n  stop:", "f:3:3: verbs[0]: 2 keys, want one verb (put each verb on a line of its own, with its own dash)"},
		{"no verb", "name: a\nverbs: [[a]]", "f:2:9: verbs[0]: a list, want a verb: say, stop"},
		{"verb without", "name: a\nverbs: [say]", "f:2:9: verbs[0].say.what: missing"},
		{"verb with nothing", "name: a\nverbs: [say: null]", "verbs[0].say.what: missing"},
		{"verb with too much", "name: a\nverbs:\n- stop: now", `f:3:9: verbs[0].stop: "now", want a mapping`},
		{"verb with a wrong key", "name: a\nverbs:\n- say: {what: a, laud: true}", "f:3:18: verbs[0].say.laud: unknown field (did you mean loud?)"},
		{"no YAML", "name: a\n  b: [", "not YAML: "},
		{"large", strings.Repeat("x", 1001), "f: 1001 bytes; a test has at most 1000"},
	} {
		if _, problems := decode(t, c.text); len(problems) != 1 || !strings.Contains(problems[0], c.want) {
			t.Errorf("%s: %q, want %q", c.name, problems, c.want)
		}
	}
}

// TestAllProblems: all are found at once, in the order of the file.
func TestAllProblems(t *testing.T) {
	_, problems := decode(t, "count: 0\nfor: 3\nname: B\nx: 1\n")
	if len(problems) != 4 || !strings.HasPrefix(problems[0], "f:1:8: count") || !strings.HasPrefix(problems[3], "f:4:1: x") {
		t.Errorf("got %q", problems)
	}
}

// TestAdd: a problem that is found afterwards goes to the field it is about, or to the nearest that holds it.
func TestAdd(t *testing.T) {
	for _, c := range []struct {
		field string
		line  int
		want  string
	}{
		{"inner.a", 1, "f:3:3: inner.a: x"}, {"inner.b", 1, "f:2:1: inner.b: x"}, {"list", 1, "f:1:4: list: x"},
		{"inner.a", 5, "f:5:4: inner.a: x"}, {"", 0, "f: x"},
	} {
		d := New("f")
		var s sample
		for _, root := range d.Documents([]byte("name: a\ninner:\n  a: 1\n"), "a test", 100) {
			d.Decode(root, &s)
		}
		p := Problem{File: "f", Field: c.field, Text: "x"}
		if c.line > 0 {
			p.Line, p.Column = c.line, 4
		}
		if d.Add(p); d.Err() == nil || d.Err().Error() != c.want {
			t.Errorf("%s: %v, want %s", c.field, d.Err(), c.want)
		}
	}
}

// TestDocuments: those that hold something, wherever empty ones stand, and each with its place.
func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil}, {"# nothing\n", nil}, {"---\n---\n", nil}, {"null", nil}, {"...\n", nil}, {"%YAML 1.2\n---\n", nil},
		{"a: 1", []string{"1: a: 1"}},
		{"---\na: 1\n---\n", []string{"2: a: 1"}},
		{"a: 1\n---\nb: 1\n", []string{"1: a: 1", "3: b: 1"}},
		{"a: 1\n---\n---\nb: 1\n", []string{"1: a: 1", "4: b: 1"}},
		{"---\n# no\n---\nb: 1\n", []string{"4: b: 1"}},
		{"a: 1\n--- # x\n# y\n---\n# z\nb: 1", []string{"1: a: 1", "6: b: 1"}},
		{"a: 1\n...\nb: 1\n", []string{"1: a: 1", "3: b: 1"}},
		{"--- a\n--- b\n", []string{"1: a", "2: b"}},
		{"# c\n%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\nb: 1\n", []string{"4: a: 1", "8: b: 1"}},
		{"a: |\n  ---\n  x", []string{"1: a: |\n  ---\n  x"}},
	} {
		d := New("f")
		var got []string
		for _, doc := range d.Documents([]byte(c.text), "a test", 100) {
			got = append(got, fmt.Sprintf("%d: %s", d.At(doc, "").Line, doc))
		}
		if diff := cmp.Diff(c.want, got); diff != "" || d.Err() != nil {
			t.Errorf("%q: -want +got:\n%s\nerror %v", c.text, diff, d.Err())
		}
	}
}
