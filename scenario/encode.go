package scenario

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// JSON is the plan as `ctsim show --output json` prints it: the same bytes on every host. Fields of the language have the
// names of the language, and times are written as in it, "3s".
func (p *Plan) JSON() ([]byte, error) {
	var b bytes.Buffer
	if err := encode(&b, reflect.ValueOf(p)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := json.Indent(&out, b.Bytes(), "", "  ")
	return out.Bytes(), err
}

// encode writes a value as JSON. Of the language's own structs it leaves out what a file would leave out.
func encode(b *bytes.Buffer, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("null")
			return nil
		}
		return encode(b, v.Elem())
	case reflect.Slice:
		return encodeList(b, v)
	case reflect.Map:
		return encodeMap(b, v)
	case reflect.Struct:
		if _, asText := v.Interface().(interface{ MarshalText() ([]byte, error) }); !asText {
			return encodeStruct(b, v)
		}
	case reflect.Int64:
		if d, ok := v.Interface().(time.Duration); ok {
			return encodeText(b, d.String())
		}
	case reflect.Uint8: // an enumeration with words for its values
		if s, ok := v.Interface().(interface{ String() string }); ok {
			return encodeText(b, s.String())
		}
	}
	text, err := json.Marshal(v.Interface())
	b.Write(text)
	return err
}

func encodeText(b *bytes.Buffer, s string) error {
	text, err := json.Marshal(s)
	b.Write(text)
	return err
}

func encodeList(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encode(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func encodeMap(b *bytes.Buffer, v reflect.Value) error {
	values := map[string]reflect.Value{}
	for _, key := range v.MapKeys() {
		values[key.String()] = v.MapIndex(key)
	}
	o := object{b: b}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := o.field(key, values[key]); err != nil {
			return err
		}
	}
	o.end()
	return nil
}

// object writes the fields of a JSON object.
type object struct {
	b     *bytes.Buffer
	begun bool
}

func (o *object) field(name string, v reflect.Value) error {
	o.b.WriteByte(map[bool]byte{false: '{', true: ','}[o.begun])
	o.begun = true
	if err := encodeText(o.b, name); err != nil {
		return err
	}
	o.b.WriteByte(':')
	return encode(o.b, v)
}

func (o *object) end() {
	if !o.begun {
		o.b.WriteByte('{')
	}
	o.b.WriteByte('}')
}

func encodeStruct(b *bytes.Buffer, v reflect.Value) error {
	o := object{b: b}
	if step, ok := v.Interface().(Step); ok {
		if err := encodeStep(&o, step); err != nil {
			return err
		}
		o.end()
		return nil
	}
	if err := o.fields(v); err != nil {
		return err
	}
	o.end()
	return nil
}

func (o *object) fields(v reflect.Value) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, optional := jsonName(f)
		switch {
		case !f.IsExported() || optional && v.Field(i).IsZero():
		case f.Anonymous && f.Tag == "":
			if err := o.fields(v.Field(i)); err != nil {
				return err
			}
		default:
			if err := o.field(name, v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonName is what a field is called: as the language has it, or as its tag says, or else its own name with a small
// letter, as Kubernetes would.
func jsonName(f reflect.StructField) (name string, optional bool) {
	if name, required := strictyaml.FieldName(f); name != "" {
		return name, !required && f.Tag.Get("default") == ""
	}
	if name, rest, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
		return name, rest == "omitempty"
	}
	return string(unicode.ToLower(rune(f.Name[0]))) + f.Name[1:], false
}

// encodeStep writes a step: its verb, what it does in words, and the verb's own fields as this run uses them.
func encodeStep(o *object, s Step) error {
	verb := reflect.ValueOf(s.Verb).Elem()
	for _, f := range []struct {
		name, text string
	}{{"verb", s.Name}, {"text", s.InThisRun()}} {
		if err := o.field(f.name, reflect.ValueOf(f.text)); err != nil {
			return err
		}
	}
	if verb.NumField() == 0 {
		return nil
	}
	return o.fields(verb)
}
