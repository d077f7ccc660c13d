// Package stranger finds every place of the language where a file may put words of its own, for tests that put there what
// a stranger might. The places are found by reflection, so that a new field cannot be forgotten.
package stranger

import (
	"maps"
	"reflect"
	"slices"

	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/scenario"
)

// Text is hostile wherever it gets: to a shell it runs `touch` on a file, in each of the ways that a shell knows; to a
// terminal it says that its lines are others', clears the screen and turns the direction of writing.
func Text(file string) string {
	touch := "touch " + file
	return "é$(" + touch + ")`" + touch + "`\n" + touch + "\n;" + touch + " & " + touch + " | " + touch + "\r\n'; " + touch + "; '\"; " + touch +
		"; \"\tEOF\nRULES\n" + touch + "\n\x1b[2J\u202e\u2028\\"
}

// Field is one place of the language that takes words of the file's own.
type Field struct {
	// Name is the struct of the language and the field in it, as the file calls it: "Exec.command".
	Name string
	// Set puts a text there; into every item of a list but the first, which may be the name of a program.
	Set func(text string)
}

// Fields are the places that a scenario has. Of a list or a mapping that is empty there is none but those of mappings of texts.
func Fields(s *scenario.Scenario) []Field { return fields(reflect.ValueOf(s).Elem()) }

// FieldsOf are those of one step.
func FieldsOf(step *scenario.Step) []Field { return fields(reflect.ValueOf(step.Verb).Elem()) }

// Language is the names of all places.
func Language() []string { return names(free) }

// Data is the names of those whose words are for a program.
func Data() []string {
	return names(func(f reflect.StructField) bool { return free(f) && f.Tag.Get("text") == "data" })
}

// names are the places in all structs of the language that are meant.
func names(meant func(reflect.StructField) bool) []string {
	found := map[string]bool{}
	known := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Slice, reflect.Pointer, reflect.Map:
			walk(t.Elem())
		case reflect.Struct:
			if known[t] || t == reflect.TypeFor[scenario.Step]() {
				return
			}
			known[t] = true
			for i := range t.NumField() {
				if name, _ := strictyaml.FieldName(t.Field(i)); name != "" {
					if meant(t.Field(i)) {
						found[t.Name()+"."+name] = true
					}
					walk(t.Field(i).Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[scenario.Scenario]())
	for _, step := range scenario.Verbs() {
		walk(reflect.TypeOf(step.Verb).Elem())
	}
	return slices.Sorted(maps.Keys(found))
}

// free tells whether a field takes texts that no word list, pattern or format limits.
func free(f reflect.StructField) bool {
	t := f.Type
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && f.Tag.Get("enum")+f.Tag.Get("pattern")+f.Tag.Get("format") == ""
}

func fields(v reflect.Value) []Field {
	var out []Field
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			out = fields(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, fields(v.Index(i))...)
		}
	case reflect.Struct:
		if step, ok := v.Interface().(scenario.Step); ok {
			return FieldsOf(&step)
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _ := strictyaml.FieldName(f)
			switch {
			case name == "":
			case free(f):
				out = append(out, Field{v.Type().Name() + "." + name, func(text string) { put(v.Field(i), text) }})
			default:
				out = append(out, fields(v.Field(i))...)
			}
		}
	}
	return out
}

// put sets a field's text, or every text in it.
func put(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		put(v.Elem(), text)
	case reflect.Slice:
		for i := min(1, v.Len()); i < v.Len(); i++ {
			put(v.Index(i), text)
		}
	case reflect.Map:
		keys := v.MapKeys()
		if len(keys) == 0 && v.Type().Elem().Kind() == reflect.String {
			keys = []reflect.Value{reflect.ValueOf("key")}
		}
		filled := reflect.MakeMap(v.Type())
		for _, key := range keys {
			item := reflect.New(v.Type().Elem()).Elem()
			if old := v.MapIndex(key); old.IsValid() {
				item.Set(old)
			}
			put(item, text)
			filled.SetMapIndex(key, item)
		}
		v.Set(filled)
	}
}
