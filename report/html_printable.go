package report

import (
	"reflect"
	"strings"
	"unicode"

	"github.com/ctsim/ctsim/scenario"
)

// printable is a copy of a result in whose texts every character can be seen for what it is: control characters, and
// those that turn the direction of writing or hide, are replaced. Applications may have sent anything.
func printable(r *scenario.Result) *scenario.Result {
	shown := *r
	shown.Capture, shown.Saved = scenario.Capture{}, nil // of no use to a page, and large
	return seen(reflect.ValueOf(&shown)).Interface().(*scenario.Result)
}

// seen copies v with all strings in it made visible. Fields that are not exported stay as they are.
func seen(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		return reflect.ValueOf(visible(v.String())).Convert(v.Type())
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(seen(v.Elem()))
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(seen(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, k := range v.MapKeys() {
			out.SetMapIndex(seen(k), seen(v.MapIndex(k)))
		}
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(seen(v.Field(i)))
			}
		}
		return out
	}
	return v
}

// visible replaces what a reader cannot see. A line break becomes a space, as in every other report.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
