package scenario

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// language gives every struct that a scenario file is made of, by the name used in its tests: found from the file's
// type and the table of steps, so that no new field can be left out.
func language() map[string]reflect.Type {
	found := map[string]reflect.Type{}
	var walk func(t reflect.Type, name string)
	walk = func(t reflect.Type, name string) {
		switch t.Kind() {
		case reflect.Slice, reflect.Pointer, reflect.Map:
			walk(t.Elem(), t.Elem().Name())
		case reflect.Struct:
			if _, known := found[name]; known || t == reflect.TypeFor[Step]() {
				return
			}
			found[name] = t
			for i := range t.NumField() {
				if fieldOf(t.Field(i)) != "" {
					walk(t.Field(i).Type, t.Field(i).Type.Name())
				}
			}
		}
	}
	walk(reflect.TypeFor[file](), "file")
	for name, kind := range stepKinds {
		walk(reflect.TypeOf(kind.make()).Elem(), "step "+name)
	}
	return found
}

func fieldOf(f reflect.StructField) string {
	name, _ := strictyaml.FieldName(f)
	return name
}

// Each limit that a tag states is enforced by the decoder, and what it allows is decoded.
func TestEveryTagIsEnforced(t *testing.T) {
	for name, typ := range language() {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if fieldOf(f) == "" {
				continue
			}
			t.Run(name+"."+fieldOf(f), func(t *testing.T) {
				bad := badValues(f)
				if len(bad) == 0 {
					t.Errorf("the test knows no wrong value of type %s", f.Type)
				}
				for why, value := range bad {
					if problems := decodeField(typ, f, value); !mentions(problems, fieldOf(f)) {
						t.Errorf("%s: %s: accepted (%v)", value, why, problems)
					}
				}
				for _, value := range goodValues(f) {
					if problems := decodeField(typ, f, value); mentions(problems, fieldOf(f)) {
						t.Errorf("%s: %v", value, problems)
					}
				}
			})
		}
	}
}

// decodeField decodes a mapping with one field.
func decodeField(t reflect.Type, f reflect.StructField, value string) Problems {
	d := strictyaml.New("f")
	for _, root := range d.Documents([]byte(fieldOf(f)+": "+value), "a test", maxFile) {
		d.Struct(root, "", reflect.New(t).Interface())
	}
	var problems Problems
	_ = errors.As(d.Err(), &problems)
	return problems
}

// mentions tells whether a problem is about the field or what it holds. That others are missing is no matter here.
func mentions(problems Problems, field string) bool {
	for _, p := range problems {
		if p.Field == field || strings.HasPrefix(p.Field, field+".") || strings.HasPrefix(p.Field, field+"[") {
			return true
		}
	}
	return false
}

// badValues are values that the field's type and tag forbid, by what is wrong with them.
func badValues(f reflect.StructField) map[string]string {
	typ := f.Type
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	bad := map[string]string{}
	step := func(tag, why string, by int) {
		if d, err := time.ParseDuration(f.Tag.Get(tag)); err == nil && typ == reflect.TypeFor[time.Duration]() {
			bad[why] = (d + time.Duration(by)).String()
		} else if n, err := strconv.Atoi(f.Tag.Get(tag)); err == nil {
			bad[why] = strconv.Itoa(n + by)
		}
	}
	step("min", "below its minimum", -1)
	step("max", "above its maximum", +1)
	if d, err := time.ParseDuration(f.Tag.Get("unit")); err == nil {
		bad["not a multiple of its unit"] = (3*d + d/2).String()
	}
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		bad["a number without a unit"], bad["no duration"], bad["negative"] = "3", "soon", "-3s"
	case typ.Kind() == reflect.Int:
		bad["text"], bad["a fraction"], bad["quoted"] = "many", "1.5", `"1"`
	case typ.Kind() == reflect.Bool:
		bad["a number"], bad["text"] = "1", `"true"`
	case typ.Kind() == reflect.String:
		bad["a list"], bad["nothing"], bad["a NUL byte"] = "[a]", "null", `"\0"`
		switch f.Tag.Get("text") {
		case "":
			bad["two lines"], bad["a tab"] = `"a\nb"`, `"a\tb"`
			fallthrough
		case "lines":
			bad["an escape"], bad["a turned direction"], bad["a carriage return"] = `"\e[2J"`, `"\u202e"`, `"a\rb"`
		}
		if f.Tag.Get("enum")+f.Tag.Get("pattern")+f.Tag.Get("format") != "" {
			bad["no such word"], bad["a number"] = `"no: such word"`, "7"
		}
	default:
		bad["text"], bad["a number"] = "some", "7"
	}
	return bad
}

// goodValues are the limits themselves, and each word of an enumeration.
func goodValues(f reflect.StructField) []string {
	var good []string
	for _, tag := range []string{"min", "max", "default"} {
		if v := f.Tag.Get(tag); v != "" {
			good = append(good, v)
		}
	}
	if enum := f.Tag.Get("enum"); enum != "" {
		for _, word := range strings.Split(enum, ",") {
			good = append(good, strconv.Quote(word))
		}
	}
	switch kind := f.Tag.Get("text"); {
	case f.Type.Kind() != reflect.String:
	case kind == "lines":
		good = append(good, `"a\n\tb"`)
	case kind == "data":
		good = append(good, `"\e[2J\r\n"`)
	}
	if f.Type == reflect.TypeFor[time.Duration]() && f.Tag.Get("min") == "" {
		good = append(good, "3s")
	}
	return good
}

// A tag that nothing reads would be a promise that is not kept.
func TestTagsAreKnown(t *testing.T) {
	known := map[string]bool{"yaml": true, "doc": true, "min": true, "max": true, "enum": true, "pattern": true,
		"default": true, "unit": true, "short": true, "format": true, "scalar": true, "text": true}
	for name, typ := range language() {
		for i := range typ.NumField() {
			f := typ.Field(i)
			for rest := string(f.Tag); rest != ""; {
				var key, value string
				if _, err := fmt.Sscanf(strings.Replace(rest, ":", " ", 1), "%s %q", &key, &value); err != nil {
					t.Fatalf("%s.%s: tag %s: %v", name, f.Name, rest, err)
				}
				if !known[key] {
					t.Errorf("%s.%s: the tag %s means nothing", name, f.Name, key)
				}
				rest = strings.TrimSpace(rest[len(key)+1+len(strconv.Quote(value)):])
			}
		}
	}
}
