package scenario

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// jsonSchema is the part of JSON Schema, draft 2020-12, that the language needs.
type jsonSchema struct {
	Dialect              string                 `json:"$schema,omitempty"`
	Title                string                 `json:"title,omitempty"`
	Description          string                 `json:"description,omitempty"`
	Ref                  string                 `json:"$ref,omitempty"`
	Type                 any                    `json:"type,omitempty"` // one name or a list of them
	Enum                 []string               `json:"enum,omitempty"`
	Pattern              string                 `json:"pattern,omitempty"`
	Format               string                 `json:"format,omitempty"`
	Minimum              *int                   `json:"minimum,omitempty"`
	Maximum              *int                   `json:"maximum,omitempty"`
	Default              any                    `json:"default,omitempty"`
	Items                *jsonSchema            `json:"items,omitempty"`
	MinItems             int                    `json:"minItems,omitempty"`
	AnyOf                []*jsonSchema          `json:"anyOf,omitempty"`
	Properties           map[string]*jsonSchema `json:"properties,omitempty"`
	Required             []string               `json:"required,omitempty"`
	MinProperties        int                    `json:"minProperties,omitempty"`
	MaxProperties        int                    `json:"maxProperties,omitempty"`
	AdditionalProperties any                    `json:"additionalProperties,omitempty"` // false or a *jsonSchema
	Defs                 map[string]*jsonSchema `json:"$defs,omitempty"`
}

// durationPattern is what time.ParseDuration reads, without the minus sign and the bare 0, which are below every limit.
const durationPattern = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)` +
	`(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`

// Schema is the JSON Schema (draft 2020-12) of a scenario file, for editors: made of the same struct tags that Parse
// decodes by and of the same table of steps. It accepts every file that Parse accepts. Parse refuses more: what only
// the whole file can show, such as a sysctl of a pod that does not exist, a duration's limits, names used twice.
func Schema() ([]byte, error) {
	g := schemaMaker{}
	root := g.structure(reflect.TypeFor[file]())
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "ctsim scenarios"
	root.Defs = g
	out, err := json.MarshalIndent(root, "", "  ")
	return append(out, '\n'), err
}

// schemaMaker collects the definitions that others refer to, by name: expectations and steps hold themselves.
type schemaMaker map[string]*jsonSchema

// value is the schema of what the decoder reads into a field of type t with that tag.
func (g schemaMaker) value(t reflect.Type, tag reflect.StructTag) *jsonSchema {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return &jsonSchema{Type: "string", Pattern: durationPattern}
	case t == reflect.TypeFor[Step]():
		return g.define("Step", g.step)
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.define(t.Name(), func() *jsonSchema { return g.structure(t) })
	case reflect.Pointer:
		s := g.value(t.Elem(), tag)
		if t.Elem().Kind() == reflect.Struct { // nothing stands for an empty mapping
			s = &jsonSchema{AnyOf: []*jsonSchema{s, {Type: "null"}}}
		}
		return s
	case reflect.Slice:
		s := &jsonSchema{Type: "array", Items: g.value(t.Elem(), tag)}
		if strings.HasSuffix(tag.Get("yaml"), ",required") {
			s.MinItems = 1
		}
		return s
	case reflect.Map:
		return &jsonSchema{Type: "object", AdditionalProperties: g.value(t.Elem(), tag)}
	case reflect.Int:
		return &jsonSchema{Type: "integer", Minimum: limit(tag, "min"), Maximum: limit(tag, "max")}
	case reflect.Bool:
		return &jsonSchema{Type: "boolean"}
	case reflect.String:
		return text(tag)
	}
	panic("scenario: no schema for " + t.String())
}

// define gives a reference to a definition, which it makes at the first call; the entry is there before the
// definition is complete, so that it may hold itself.
func (g schemaMaker) define(name string, make func() *jsonSchema) *jsonSchema {
	if g[name] == nil {
		g[name] = &jsonSchema{}
		*g[name] = *make()
	}
	return &jsonSchema{Ref: "#/$defs/" + name}
}

func text(tag reflect.StructTag) *jsonSchema {
	s := &jsonSchema{Type: "string", Pattern: tag.Get("pattern"), Format: tag.Get("format")}
	if enum := tag.Get("enum"); enum != "" {
		s.Enum = strings.Split(enum, ",")
	}
	if tag.Get("scalar") != "" {
		s.Type = []string{"string", "number", "boolean"}
	}
	return s
}

func limit(tag reflect.StructTag, name string) *int {
	n, err := strconv.Atoi(tag.Get(name))
	if err != nil {
		return nil
	}
	return &n
}

// structure is the schema of a mapping with the fields of t.
func (g schemaMaker) structure(t reflect.Type) *jsonSchema {
	s := &jsonSchema{Type: "object", AdditionalProperties: false, Properties: map[string]*jsonSchema{}}
	for i := range t.NumField() {
		f := t.Field(i)
		name, required := strictyaml.FieldName(f)
		if name == "" {
			continue
		}
		s.Properties[name] = g.field(f)
		if required {
			s.Required = append(s.Required, name)
		}
	}
	return s
}

// field is the schema of a field with what its tag says about it.
func (g schemaMaker) field(f reflect.StructField) *jsonSchema {
	s := g.value(f.Type, f.Tag)
	s.Description = description(f)
	if text := f.Tag.Get("default"); text != "" {
		s.Default = text
		if n, err := strconv.Atoi(text); err == nil && f.Type.Kind() == reflect.Int {
			s.Default = n
		}
	}
	return s
}

// description is the field's doc, and of a duration the limits that a schema cannot check.
func description(f reflect.StructField) string {
	doc := f.Tag.Get("doc")
	if f.Type == reflect.TypeFor[time.Duration]() {
		doc = strings.TrimSpace(fmt.Sprintf("%s A duration like 500ms, 3s or 24h%s.", doc, strictyaml.Bounds(f.Tag)))
	}
	return doc
}

// step is the schema of one step: its name alone, or a mapping with its name as the only key.
func (g schemaMaker) step() *jsonSchema {
	var bare []string
	byName := &jsonSchema{Type: "object", AdditionalProperties: false, MinProperties: 1, MaxProperties: 1,
		Properties: map[string]*jsonSchema{}}
	for _, verb := range Verbs() {
		name, t := verb.Name, reflect.TypeOf(verb.Verb).Elem()
		byName.Properties[name] = g.define("step-"+name, func() *jsonSchema { return g.stepBody(t) })
		if len(g.structure(t).Required) == 0 {
			bare = append(bare, name)
		}
	}
	return &jsonSchema{AnyOf: []*jsonSchema{{Type: "string", Enum: bare}, byName}}
}

// stepBody is a step's mapping, or the one value of the field that is tagged short, or nothing if nothing is required.
func (g schemaMaker) stepBody(t reflect.Type) *jsonSchema {
	long := g.structure(t)
	forms := []*jsonSchema{long}
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("short") != "" {
			forms = append(forms, g.field(f))
		}
	}
	if len(long.Required) == 0 {
		forms = append(forms, &jsonSchema{Type: "null"})
	}
	return &jsonSchema{AnyOf: forms}
}
