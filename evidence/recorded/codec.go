// Package recorded keeps the evidence of real runs for tests, which then need no kernel.
package recorded

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/ctsim/ctsim/probe/peer"
)

// Evidence is kept as JSON by reflection over its fields, unexported ones too: what is added to it is recorded
// without a change here, and a recording can be read and edited by people.

// record turns evidence into a tree that JSON can hold; zero values are left out.
func record(v reflect.Value) any {
	v = open(v)
	if v.Kind() == reflect.Pointer {
		return record(v.Elem()) // nil is left out, as every zero value
	}
	if err, ok := v.Interface().(error); ok && v.Kind() == reflect.Interface {
		return peer.Errno(err)
	}
	switch t := v.Interface().(type) {
	case time.Time:
		return t.Format(time.RFC3339Nano)
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				out[v.Type().Field(i).Name] = record(f)
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			item := reflect.New(v.Type().Elem()).Elem() // a map's own items have no address
			item.Set(v.MapIndex(key))
			out[fmt.Sprint(key.Interface())] = record(item)
		}
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes() // base64
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = record(v.Index(i))
		}
		return out
	}
	return v.Interface()
}

// open gives an addressable value without the mark of an unexported field.
func open(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// replay is the inverse of record.
func replay(text json.RawMessage, v reflect.Value) error {
	v = open(v)
	if v.Type() == reflect.TypeFor[error]() {
		var name string
		err := json.Unmarshal(text, &name)
		v.Set(reflect.ValueOf(errnoNamed(name)))
		return err
	}
	_, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return replay(text, v.Elem())
	case isText:
		return json.Unmarshal(text, v.Addr().Interface())
	case v.Kind() == reflect.Struct:
		return replayFields(text, v)
	case v.Kind() == reflect.Map:
		return replayMap(text, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		var items []json.RawMessage
		if err := json.Unmarshal(text, &items); err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
		for i, item := range items {
			if err := replay(item, v.Index(i)); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	}
	return json.Unmarshal(text, v.Addr().Interface())
}

func replayFields(text json.RawMessage, v reflect.Value) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	for name, item := range fields {
		f := v.FieldByNameFunc(func(own string) bool { return strings.EqualFold(own, name) })
		if !f.IsValid() {
			return fmt.Errorf("%s has no field %s any more; record the evidence again", v.Type(), name)
		}
		if err := replay(item, f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func replayMap(text json.RawMessage, v reflect.Value) error {
	var items map[string]json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return err
	}
	v.Set(reflect.MakeMap(v.Type()))
	for name, text := range items {
		key, item := reflect.New(v.Type().Key()), reflect.New(v.Type().Elem()).Elem()
		quoted, err := json.Marshal(name)
		if err != nil {
			return err
		}
		if _, isText := key.Interface().(encoding.TextUnmarshaler); !isText && key.Elem().Kind() != reflect.String {
			quoted = []byte(name) // a number
		}
		if err := json.Unmarshal(quoted, key.Interface()); err != nil {
			return err
		}
		if err := replay(text, item); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v.SetMapIndex(key.Elem(), item)
	}
	return nil
}

func errnoNamed(name string) error {
	for errno := syscall.Errno(1); errno < 134; errno++ {
		if peer.Errno(errno) == name {
			return errno
		}
	}
	panic("no errno is called " + name)
}
