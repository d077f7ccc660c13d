package strictyaml

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Named reads an item of a list whose kind is its name: `- send`, or `- send: {from: server}`. Noun is what such an item
// is called. Body is nil if there is none, or nothing in it. It is not ok, and a problem, unless the name is one of
// those given.
func (d *Decoder) Named(n Node, path, noun string, names []string) (name string, body Node, ok bool) {
	switch t := n.(type) {
	case *ast.StringNode:
		name = t.Value
	case *ast.MappingNode:
		if len(t.Values) != 1 {
			d.Problem(n, path, "put each "+noun+" on a line of its own, with its own dash", "%d keys, want one %s", len(t.Values), noun)
			return "", nil, false
		}
		name, body = keyText(t.Values[0]), plain(t.Values[0].Value)
	default:
		d.Problem(n, path, "", "%s, want a %s: %s", what(n), noun, strings.Join(names, ", "))
		return "", nil, false
	}
	if body != nil && body.Type() == ast.NullType {
		body = nil
	}
	if !slices.Contains(names, name) {
		d.Problem(n, path, DidYouMean(name, names), "unknown %s %q, want one of %s", noun, name, strings.Join(names, ", "))
		return name, nil, false
	}
	return name, body, true
}

// Body decodes what [Decoder.Named] gave into the struct that v points to: a mapping, or one value for the field that is
// tagged short. Whole is the item, where a field stands that is missing.
func (d *Decoder) Body(body, whole Node, path string, v any) {
	d.body(body, whole, path, reflect.ValueOf(v).Elem())
}

func (d *Decoder) body(body, whole Node, path string, v reflect.Value) {
	if m, ok := body.(*ast.MappingNode); ok {
		d.structure(m, path, v)
		return
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name, required := FieldName(f); required && body == nil {
			d.Problem(whole, Join(path, name), "", "missing")
		}
		if f.Tag.Get("short") != "" && body != nil {
			d.value(body, path, v.Field(i), f.Tag)
			return
		}
	}
	if body != nil {
		d.Problem(body, path, "", "%s, want a mapping", what(body))
	}
}
