package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile is more than any library of scenarios needs, and keeps a hostile file from taking the memory.
const maxFile = 4 << 20

// decoder walks the syntax tree of a file and notes every problem instead of stopping at the first.
type decoder struct {
	file     string
	problems Problems
	// fields is where each key of the file stands, by its path.
	fields map[string]Problem
}

func (d *decoder) problem(n ast.Node, path, hint, format string, args ...any) {
	p := d.at(n, path)
	p.Text, p.Hint = fmt.Sprintf(format, args...), hint
	d.problems = append(d.problems, p)
}

// at is a problem's place and nothing else of it.
func (d *decoder) at(n ast.Node, path string) Problem {
	p := Problem{File: d.file, Field: path}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key // a mapping's own token is its first colon
	}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p.Line, p.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	return p
}

// parse gives the root of the one document in data, nil if there is none.
func (d *decoder) parse(data []byte) ast.Node {
	if len(data) > maxFile {
		d.problem(nil, "", "", "%d bytes; a scenario file has at most %d", len(data), maxFile)
		return nil
	}
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // structure tells, with all else
	if err != nil {
		p := Problem{File: d.file, Text: err.Error()}
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			p.Text = "not YAML: " + syntax.Message
			if syntax.Token != nil && syntax.Token.Position != nil {
				p.Line, p.Column = syntax.Token.Position.Line, syntax.Token.Position.Column
			}
		}
		d.problems = append(d.problems, p)
		return nil
	}
	var docs []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.NullType {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		d.problem(nil, "", "start with `scenarios:`", "the file holds no scenario")
		return nil
	case 1:
		return docs[0]
	}
	d.problem(docs[1], "", "put all under one `scenarios:`", "a second YAML document")
	return docs[0]
}

// custom is a type that decodes itself.
type custom interface {
	decodeNode(d *decoder, n ast.Node, path string)
}

// value decodes a node into v by v's type; tag is that of the field v stands in.
func (d *decoder) value(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	n = plain(n)
	if n.Type() == ast.AliasType || n.Type() == ast.MergeKeyType {
		d.problem(n, path, "write it out", "aliases and merge keys are not part of the language")
		return
	}
	if c, ok := v.Addr().Interface().(custom); ok {
		c.decodeNode(d, n, path)
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
			d.problem(n, path, "", "%s, want true or false", what(n))
		}
	case reflect.String:
		d.str(n, path, v, tag)
	default:
		panic("scenario: no way to decode " + v.Type().String())
	}
}

// plain takes anchors and tags off a node.
func plain(n ast.Node) ast.Node {
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
func what(n ast.Node) string {
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

func fieldName(f reflect.StructField) (name string, required bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name, rest == "required"
}

func (d *decoder) structure(n ast.Node, path string, v reflect.Value) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.problem(n, path, "", "%s, want a mapping", what(n))
		return
	}
	fields := map[string]reflect.StructField{}
	var names []string
	for i := range v.NumField() {
		if name, _ := fieldName(v.Type().Field(i)); name != "" {
			fields[name], names = v.Type().Field(i), append(names, name)
		}
	}
	seen := map[string]bool{}
	for _, pair := range m.Values {
		key := keyText(pair)
		d.fields[join(path, key)] = d.at(pair.Key, "")
		f, known := fields[key]
		switch {
		case pair.Key.Type() == ast.MergeKeyType:
			d.problem(pair.Key, join(path, key), "write it out", "aliases and merge keys are not part of the language")
		case !known:
			d.problem(pair.Key, join(path, key), didYouMean(key, names), "unknown field")
		case seen[key]:
			d.problem(pair.Key, join(path, key), "", "given twice")
		default:
			d.value(pair.Value, join(path, key), v.FieldByIndex(f.Index), f.Tag)
		}
		seen[key] = true
	}
	for _, name := range names {
		if _, required := fieldName(fields[name]); required && !seen[name] {
			d.problem(n, join(path, name), "", "missing")
		}
	}
}

func keyText(pair *ast.MappingValueNode) string {
	if s, ok := pair.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return pair.Key.String()
}

func (d *decoder) sequence(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(n, path, "", "%s, want a list", what(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, item := range s.Values {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), v.Index(i), tag)
	}
}

func (d *decoder) dictionary(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.problem(n, path, "", "%s, want a mapping", what(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, pair := range m.Values {
		key := reflect.ValueOf(keyText(pair))
		d.fields[join(path, key.String())] = d.at(pair.Key, "")
		if v.MapIndex(key).IsValid() {
			d.problem(pair.Key, join(path, key.String()), "", "given twice")
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(pair.Value, join(path, key.String()), item, tag)
		v.SetMapIndex(key, item)
	}
}

func (d *decoder) integer(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.problem(n, path, "", "%s, want a whole number%s", what(n), bounds(tag))
		return
	}
	number, err := strconv.Atoi(fmt.Sprint(i.Value))
	low, high := number, number
	if s := tag.Get("min"); s != "" {
		low, _ = strconv.Atoi(s)
	}
	if s := tag.Get("max"); s != "" {
		high, _ = strconv.Atoi(s)
	}
	if err != nil || number < low || number > high {
		d.problem(n, path, "", "%s is out of range, want a whole number%s", fmt.Sprint(i.Value), bounds(tag))
		return
	}
	v.SetInt(int64(number))
}

func bounds(tag reflect.StructTag) string {
	low, high := tag.Get("min"), tag.Get("max")
	if low == "" || high == "" {
		return ""
	}
	return " from " + low + " to " + high
}

func (d *decoder) str(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	var text string
	switch t := n.(type) {
	case *ast.StringNode:
		text = t.Value
	case *ast.LiteralNode:
		text = strings.TrimSpace(t.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if tag.Get("enum")+tag.Get("pattern")+tag.Get("format") != "" || tag.Get("scalar") == "" {
			d.problem(n, path, "quote it", "%s, want text", what(n))
			return
		}
		text = n.GetToken().Value
	default:
		d.problem(n, path, "", "%s, want text", what(n))
		return
	}
	if hint, wrong := wrongText(text, tag); wrong != "" {
		d.problem(n, path, hint, "%s", wrong)
		return
	}
	v.SetString(text)
}

func wrongText(text string, tag reflect.StructTag) (hint, wrong string) {
	if enum := tag.Get("enum"); enum != "" {
		valid := strings.Split(enum, ",")
		if !slices.Contains(valid, text) {
			return didYouMean(text, valid), fmt.Sprintf("%q, want one of %s", text, strings.Join(valid, ", "))
		}
	}
	if p := tag.Get("pattern"); p != "" && !regexp.MustCompile(p).MatchString(text) {
		return "", fmt.Sprintf("%q does not match %s", text, p)
	}
	if tag.Get("format") == "ipv4" {
		if a, err := netip.ParseAddr(text); err != nil || !a.Is4() {
			return "", fmt.Sprintf("%q, want an IPv4 address", text)
		}
	}
	return "", ""
}

func (d *decoder) duration(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		d.problem(n, path, "write a unit", "%s, want a duration like 500ms, 3s or 24h", what(n))
		return
	}
	got, err := time.ParseDuration(s.Value)
	if err != nil {
		d.problem(n, path, "", "%q, want a duration like 500ms, 3s or 24h", s.Value)
		return
	}
	low, _ := time.ParseDuration(tag.Get("min"))
	high, err := time.ParseDuration(tag.Get("max"))
	if got < low || (err == nil && got > high) {
		d.problem(n, path, "", "%s is out of range, want a duration%s", s.Value, bounds(tag))
		return
	}
	if unit, err := time.ParseDuration(tag.Get("unit")); err == nil && got%unit != 0 {
		d.problem(n, path, "", "%s is not a multiple of %s, the kernel's unit", s.Value, unit)
		return
	}
	v.SetInt(int64(got))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
