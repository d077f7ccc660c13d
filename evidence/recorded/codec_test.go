package recorded

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
)

// What is recorded is what is replayed, whatever is added to evidence: every field is filled in, by its type.
func TestEvidenceCodec(t *testing.T) {
	var want evidence.Evidence
	fill(t, reflect.ValueOf(&want).Elem(), 1)
	text, err := json.Marshal(record(reflect.ValueOf(&want).Elem()))
	if err != nil {
		t.Fatal(err)
	}
	var got evidence.Evidence
	if err := replay(text, reflect.ValueOf(&got).Elem()); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(record(reflect.ValueOf(&got).Elem()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Errorf("-recorded +replayed:\n%s", diff)
	}
}

// fill gives everything below v a value that is not zero.
func fill(t *testing.T, v reflect.Value, n int) {
	v = open(v)
	if v.Type() == reflect.TypeFor[error]() {
		v.Set(reflect.ValueOf(syscall.ECONNRESET))
		return
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		for _, sample := range []string{"2026-01-02T03:04:05.000000006Z", "10.0.0.1:80", "10.0.0.1", "10.0.0.0/8"} {
			if text.UnmarshalText([]byte(sample)) == nil {
				return
			}
		}
		t.Fatalf("no sample of %s", v.Type())
	}
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n+i)
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n+1)
	case v.Kind() == reflect.Map:
		key, item := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, n)
		fill(t, item, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, item)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprint("text", n))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(n))
	case v.CanUint():
		v.SetUint(uint64(n))
	case v.CanFloat():
		v.SetFloat(float64(n))
	default:
		t.Fatalf("the test cannot fill in %s", v.Type())
	}
}
