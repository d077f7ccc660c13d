package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Node is a value of the file, as the parser gives it.
type Node = ast.Node

// Decoder walks the syntax tree of one file and notes every problem instead of stopping at the first.
type Decoder struct {
	file     string
	problems Problems
	// fields is where each key of the file stands, by its path.
	fields map[string]Problem
}

// New is a decoder for a file of that name, which is used in problems only.
func New(file string) *Decoder { return &Decoder{file: file, fields: map[string]Problem{}} }

// Documents gives the values of the documents in data, those that hold something. It is empty if there are none, or if
// data is not YAML or beyond the limits: then that is a problem. Kind says what such a file is, "a scenario file", and
// limit how many bytes it may have.
func (d *Decoder) Documents(data []byte, kind string, limit int) []Node {
	if len(data) > limit {
		d.Problem(nil, "", "", "%d bytes; %s has at most %d", len(data), kind, limit)
		return nil
	}
	if !d.few(data) {
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !d.bounded(tokens) {
		return nil
	}
	var docs []Node
	for _, one := range split(tokens) {
		f, err := parser.Parse(one, 0, parser.AllowDuplicateMapKey()) // structure tells, with all else
		if err != nil {
			d.syntax(err)
			return nil
		}
		for _, doc := range f.Docs {
			if doc.Body != nil && !slices.Contains(nothing, doc.Body.Type()) {
				docs = append(docs, doc.Body)
			}
		}
	}
	return docs
}

// nothing is what a document is of that holds no value.
var nothing = []ast.NodeType{ast.CommentType, ast.NullType, ast.DirectiveType}

// split gives the tokens of each document, with the `---` before and the `...` after it. The parser, given all of them,
// loses the document that follows an empty one.
func split(tokens token.Tokens) []token.Tokens {
	var all []token.Tokens
	begin, directive := 0, false // a directive, %YAML 1.2, stands before the `---` of its document
	cut := func(end int) {
		if end > begin {
			tokens[end-1].Next = nil
			tokens[begin].Prev = nil
			all = append(all, tokens[begin:end])
		}
		begin, directive = end, false
	}
	for i, t := range tokens {
		switch t.Type {
		case token.DirectiveType:
			directive = true
		case token.DocumentHeaderType:
			if !directive {
				cut(i)
			}
			directive = false
		case token.DocumentEndType:
			cut(i + 1)
		}
	}
	cut(len(tokens))
	return all
}

// syntax notes what the parser says.
func (d *Decoder) syntax(err error) {
	p := Problem{File: d.file}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) { // its Error has the source around it, painted
		p.Text = "not YAML: " + syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			p.Line, p.Column = syntax.Token.Position.Line, syntax.Token.Position.Column
		}
	} else {
		p.Text = err.Error()
	}
	d.note(p)
}

// Problem notes what is wrong with a value. Hint says what to do; it may be empty.
func (d *Decoder) Problem(n Node, path, hint, format string, args ...any) {
	p := d.At(n, path)
	p.Text, p.Hint = fmt.Sprintf(format, args...), hint
	d.note(p)
}

// note keeps a problem, with no more of what the file says than a person reads.
func (d *Decoder) note(p Problem) {
	p.Field, p.Text, p.Hint = short(p.Field), short(p.Text), short(p.Hint)
	d.problems = append(d.problems, p)
}

// maxText is how many characters are told of one problem.
const maxText = 400

func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// Add notes a problem that was found otherwise, when the whole file was decoded for instance. If it has no closer place
// than what it is part of, it is moved to the field it is about, or to the one that holds it, if the file has it.
func (d *Decoder) Add(p Problem) {
	for field := p.Field; field != ""; {
		if at, known := d.fields[field]; known {
			if at.Line > p.Line {
				p.Line, p.Column = at.Line, at.Column
			}
			break
		}
		field = field[:max(strings.LastIndexByte(field, '.'), 0)]
	}
	d.note(p)
}

// Count is how many problems there are so far.
func (d *Decoder) Count() int { return len(d.problems) }

// maxProblems is how many problems are listed: whoever reads so many knows what is wrong with the file.
const maxProblems = 100

// Err is the first [Problems] in the order of the file, and how many more there are; nil if there are none.
func (d *Decoder) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	d.problems.sort()
	more := len(d.problems) - maxProblems
	if more <= 0 {
		return d.problems
	}
	return append(slices.Clone(d.problems[:maxProblems]), Problem{File: d.file, Text: fmt.Sprintf("and %d more problems", more)})
}

// At is a value's place, as a problem without text.
func (d *Decoder) At(n Node, path string) Problem {
	p := Problem{File: d.file, Field: path}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key // a mapping's own token is its first colon
	}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p.Line, p.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	return p
}

// Custom is a type that decodes itself, with the decoder's means.
type Custom interface {
	// DecodeYAML decodes n, which stands at that path of the file, and notes what is wrong with it.
	DecodeYAML(d *Decoder, n Node, path string)
}

// Join is the path of a key in what stands at path.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
