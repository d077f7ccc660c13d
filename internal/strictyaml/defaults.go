package strictyaml

import (
	"reflect"
	"strconv"
	"time"
)

// SetDefaults gives every zero field of a struct, to which v points, the value of its default tag: of the structs in it
// too, of those in its lists, and of those it points to.
func SetDefaults(v any) { setDefaults(reflect.ValueOf(v).Elem()) }

func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		if !f.CanSet() {
			continue
		}
		switch {
		case f.Kind() == reflect.Struct:
			setDefaults(f)
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && !f.IsNil():
			setDefaults(f.Elem())
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && !f.IsNil():
			setDefaults(f.Elem())
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				setDefaults(f.Index(j))
			}
		case tag.Get("default") != "" && f.IsZero():
			setDefault(f, tag.Get("default"))
		}
	}
}

func setDefault(f reflect.Value, text string) {
	switch f.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("strictyaml: default " + text)
		}
		f.SetInt(int64(d))
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			panic("strictyaml: default " + text)
		}
		f.SetInt(int64(n))
	case string:
		f.SetString(text)
	default:
		panic("strictyaml: no default for " + f.Type().String())
	}
}
