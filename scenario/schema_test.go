package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/internal/golden"
	"github.com/ctsim/ctsim/internal/strictyaml"
)

// schemaChecker holds a value against a schema. It knows the keywords that Schema uses and no others, so that a
// keyword added there without a meaning here fails the tests.
type schemaChecker struct{ root jsonSchema }

func newSchemaChecker(t testing.TB) schemaChecker {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var c schemaChecker
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c.root); err != nil {
		t.Fatal(err)
	}
	return c
}

// file gives everything that the schema finds wrong with a YAML file.
func (c schemaChecker) file(data []byte) []string {
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return []string{"not YAML: " + err.Error()}
	}
	return c.value("", v, &c.root)
}

func (c schemaChecker) value(path string, v any, s *jsonSchema) []string {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/$defs/")
		if c.root.Defs[name] == nil {
			return []string{path + ": the schema has no " + s.Ref}
		}
		return c.value(path, v, c.root.Defs[name])
	}
	if len(s.AnyOf) > 0 {
		return c.anyOf(path, v, s)
	}
	if kind := kindOf(v); !slices.ContainsFunc(typesOf(s), func(t string) bool {
		return t == kind || t == "number" && kind == "integer"
	}) {
		return []string{fmt.Sprintf("%s: %s, want %v", path, kind, s.Type)}
	}
	var wrong []string
	switch t := v.(type) {
	case map[string]any:
		wrong = c.object(path, t, s)
	case []any:
		if len(t) < s.MinItems {
			wrong = append(wrong, path+": too few items")
		}
		for i, item := range t {
			wrong = append(wrong, c.value(fmt.Sprintf("%s[%d]", path, i), item, s.Items)...)
		}
	case string:
		wrong = stringAgainst(path, t, s)
	default:
		if n, ok := number(v); ok && (s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum) {
			wrong = append(wrong, fmt.Sprintf("%s: %d is out of range", path, n))
		}
	}
	return wrong
}

func (c schemaChecker) anyOf(path string, v any, s *jsonSchema) []string {
	var all []string
	for _, one := range s.AnyOf {
		wrong := c.value(path, v, one)
		if len(wrong) == 0 {
			return nil
		}
		all = append(all, wrong...)
	}
	return all
}

func (c schemaChecker) object(path string, v map[string]any, s *jsonSchema) []string {
	var wrong []string
	if len(v) < s.MinProperties || s.MaxProperties > 0 && len(v) > s.MaxProperties {
		wrong = append(wrong, fmt.Sprintf("%s: %d keys", path, len(v)))
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			wrong = append(wrong, strictyaml.Join(path, name)+": missing")
		}
	}
	for name, item := range v {
		switch more := s.AdditionalProperties.(type) {
		case map[string]any: // decoded from JSON without knowing its type
			wrong = append(wrong, c.value(strictyaml.Join(path, name), item, reread(more))...)
		default:
			if s.Properties[name] == nil {
				wrong = append(wrong, strictyaml.Join(path, name)+": unknown")
				continue
			}
			wrong = append(wrong, c.value(strictyaml.Join(path, name), item, s.Properties[name])...)
		}
	}
	return wrong
}

func reread(m map[string]any) *jsonSchema {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	var s jsonSchema
	if err := json.Unmarshal(text, &s); err != nil {
		panic(err)
	}
	return &s
}

func stringAgainst(path, text string, s *jsonSchema) []string {
	switch {
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, text),
		s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text):
		return []string{fmt.Sprintf("%s: %q", path, text)}
	case s.Format == "ipv4":
		if a, err := netip.ParseAddr(text); err != nil || !a.Is4() {
			return []string{fmt.Sprintf("%s: %q is no IPv4 address", path, text)}
		}
	case s.Format != "":
		return []string{path + ": the test knows no format " + s.Format}
	}
	return nil
}

func typesOf(s *jsonSchema) []string {
	switch t := s.Type.(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, one := range t {
			out = append(out, one.(string))
		}
		return out
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	}
	if _, ok := number(v); ok {
		return "integer"
	}
	return "number"
}

func number(v any) (int, bool) {
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return int(r.Int()), true
	case r.CanUint():
		return int(min(r.Uint(), math.MaxInt)), true
	}
	return 0, false
}

func TestSchemaAcceptsTheBuiltInScenarios(t *testing.T) {
	for _, wrong := range newSchemaChecker(t).file(ctsim.Scenarios) {
		t.Error(wrong)
	}
}

// Every field of the language is in the schema with a description, and so is every step.
func TestSchemaDescribesEverything(t *testing.T) {
	c := newSchemaChecker(t)
	for name := range stepKinds {
		if c.root.Defs["step-"+name] == nil {
			t.Errorf("the schema has no step %s", name)
		}
	}
	var walk func(path string, s *jsonSchema)
	walk = func(path string, s *jsonSchema) {
		for _, one := range s.AnyOf {
			walk(path, one)
		}
		if s.Type == "object" && s.AdditionalProperties == nil {
			t.Errorf("%s takes any key", path)
		}
		for name, field := range s.Properties {
			if path == "Step" {
				continue // a step's own fields are described
			}
			if field.Description == "" {
				t.Errorf("%s.%s has no doc tag", path, name)
			}
			walk(strictyaml.Join(path, name), field)
		}
	}
	walk("file", &c.root)
	for name, s := range c.root.Defs {
		walk(name, s)
	}
}

// The defaults that `ctsim schema` shows are the ones that a step really begins with. A zero stands for the default
// where a step looks it up itself.
func TestStepDefaultsAreTheirTags(t *testing.T) {
	for name, kind := range stepKinds {
		got := reflect.ValueOf(kind.make()).Elem()
		want := reflect.New(got.Type()).Elem()
		strictyaml.SetDefaults(want.Addr().Interface())
		for i := range got.NumField() {
			f := got.Type().Field(i)
			if !got.Field(i).IsZero() && !got.Field(i).Equal(want.Field(i)) {
				t.Errorf("step %s begins with %s = %v, its tag says %v", name, f.Name, got.Field(i), want.Field(i))
			}
		}
	}
}

// The schema that scenarios.yaml points editors to is the one that `ctsim schema` prints.
func TestSchemaGolden(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden.Text(t, "../../docs/scenario.schema.json", string(text))
}
