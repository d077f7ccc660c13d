package strictyaml

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Decode decodes a document into what v points to.
func (d *Decoder) Decode(root Node, v any) { d.value(root, "", reflect.ValueOf(v).Elem(), "") }

// Struct is what a [Custom] struct decodes its fields with, under a type that is not Custom: it decodes a mapping into the struct that v points to, by the tags of its fields.
func (d *Decoder) Struct(n Node, path string, v any) {
	d.structure(plain(n), path, reflect.ValueOf(v).Elem())
}

// value decodes a node into v by v's type; tag is that of the field v stands in.
func (d *Decoder) value(n Node, path string, v reflect.Value, tag reflect.StructTag) {
	n = plain(n)
	if n.Type() == ast.AliasType || n.Type() == ast.MergeKeyType {
		d.Problem(n, path, "write it out", "aliases and merge keys are not part of the language")
		return
	}
	if c, ok := v.Addr().Interface().(Custom); ok {
		c.DecodeYAML(d, n, path)
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d.duration(n, path, v, tag)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if n.Type() == ast.NullType && v.Elem().Kind() == reflect.Struct {
			return // `keepalive:` alone is an empty mapping
		}
		d.value(n, path, v.Elem(), tag)
	case reflect.Slice:
		d.sequence(n, path, v, tag)
	case reflect.Map:
		d.dictionary(n, path, v, tag)
	case reflect.Int:
		d.integer(n, path, v, tag)
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
		} else {
			d.Problem(n, path, "", "%s, want true or false", what(n))
		}
	case reflect.String:
		d.str(n, path, v, tag)
	default:
		panic("strictyaml: no way to decode " + v.Type().String())
	}
}

// plain takes anchors and tags off a node.
func plain(n Node) Node {
	for {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.TagNode:
			n = t.Value
		case *ast.MappingValueNode:
			return ast.Mapping(t.GetToken(), false, t)
		default:
			return n
		}
	}
}

// what names a node as a person would.
func what(n Node) string {
	switch t := n.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return strconv.Quote(t.Value)
	default:
		return n.String()
	}
}

// FieldName is the key of a struct's field in the file, and whether it has to be there; empty if the field is not decoded.
func FieldName(f reflect.StructField) (name string, required bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name, rest == "required"
}

func (d *Decoder) structure(n Node, path string, v reflect.Value) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.Problem(n, path, "", "%s, want a mapping", what(n))
		return
	}
	fields := map[string]reflect.StructField{}
	var names []string
	for i := range v.NumField() {
		if name, _ := FieldName(v.Type().Field(i)); name != "" {
			fields[name], names = v.Type().Field(i), append(names, name)
		}
	}
	seen := map[string]bool{}
	for _, pair := range m.Values {
		key := keyText(pair)
		d.fields[Join(path, key)] = d.At(pair.Key, "")
		f, known := fields[key]
		switch {
		case pair.Key.Type() == ast.MergeKeyType:
			d.Problem(pair.Key, Join(path, key), "write it out", "aliases and merge keys are not part of the language")
		case !known:
			d.Problem(pair.Key, Join(path, key), DidYouMean(key, names), "unknown field")
		case seen[key]:
			d.Problem(pair.Key, Join(path, key), "", "given twice")
		default:
			d.value(pair.Value, Join(path, key), v.FieldByIndex(f.Index), f.Tag)
		}
		seen[key] = true
	}
	for _, name := range names {
		if _, required := FieldName(fields[name]); required && !seen[name] {
			d.Problem(n, Join(path, name), "", "missing")
		}
	}
}

func keyText(pair *ast.MappingValueNode) string {
	if s, ok := pair.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return pair.Key.String()
}

func (d *Decoder) sequence(n Node, path string, v reflect.Value, tag reflect.StructTag) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.Problem(n, path, "", "%s, want a list", what(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, item := range s.Values {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), v.Index(i), tag)
	}
}

func (d *Decoder) dictionary(n Node, path string, v reflect.Value, tag reflect.StructTag) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.Problem(n, path, "", "%s, want a mapping", what(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, pair := range m.Values {
		key := reflect.ValueOf(keyText(pair))
		d.fields[Join(path, key.String())] = d.At(pair.Key, "")
		if v.MapIndex(key).IsValid() {
			d.Problem(pair.Key, Join(path, key.String()), "", "given twice")
			continue
		}
		if _, wrong := unfit(key.String(), ""); wrong != "" {
			d.Problem(pair.Key, path, "", "a key is %s", wrong)
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(pair.Value, Join(path, key.String()), item, tag)
		v.SetMapIndex(key, item)
	}
}
