package report

import (
	"reflect"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
)

// printableResult is a copy of a result in whose texts every character can be seen for what it is: control characters, and
// those that turn the direction of writing or hide, are replaced. Applications may have sent anything.
func printableResult(r *result.Result) *result.Result {
	shown := *r
	shown.Capture, shown.Saved = result.Capture{}, nil // of no use to a page, and large
	return seen(reflect.ValueOf(&shown)).Interface().(*result.Result)
}

// seen copies v with all strings in it made visible. Fields that are not exported stay as they are.
func seen(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		return reflect.ValueOf(printable.Line(v.String())).Convert(v.Type())
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
