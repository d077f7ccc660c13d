package strictyaml

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// The parser's time and memory grow with the square of how deep a file is nested, and of how many keys one mapping has: a
// file of 100 kB that is nothing but brackets takes gigabytes, one of 32,000 keys ten seconds. The lexer before it makes
// some 300 bytes of every bracket, dash or quote, and in places looks at all that came before.
const (
	maxMarks = 50_000 // fourteen times as many as ctsim's own scenarios have
	maxDepth = 64
	maxKeys  = 1000
	maxEmpty = 2000 // keys in a file after which nothing stands: each moves all tokens behind it
)

// marks are the characters that begin or end something in YAML. There are no more nodes in a file than marks, wherever in
// it they stand.
const marks = "[]{},:-?&*!|>'\"%@`#\n"

// few tells whether the file has few enough marks to be taken apart at all, and notes where it has too many.
func (d *Decoder) few(data []byte) bool {
	n, line, begin := 0, 1, 0
	for i, c := range data {
		if strings.IndexByte(marks, c) < 0 {
			continue
		}
		if n++; n > maxMarks {
			d.problems = append(d.problems, Problem{File: d.file, Line: line, Column: i - begin + 1,
				Text: fmt.Sprintf("more than %d brackets, dashes, colons, commas, quotes and lines", maxMarks), Hint: "put the scenarios into several files"})
			return false
		}
		if c == '\n' {
			line, begin = line+1, i+1
		}
	}
	return true
}

// level is a collection that is open at a place of the file.
type level struct {
	flow   bool // in brackets
	column int  // of its items, unless flow
	keys   int  // by their colons
	commas int  // of a mapping in braces, whose keys need no colon
	braces bool
}

// shape is how the file looks up to a token, as far as the limits are concerned.
type shape struct {
	open  []level
	marks int // tags and anchors before one value, of which each is a node around the next
	empty int
}

// bounded tells whether the file is within the limits, before it is parsed, and notes where it is not. It needs no more
// of the syntax than brackets, keys, dashes and their columns.
func (d *Decoder) bounded(tokens token.Tokens) bool {
	var s shape
	for i, t := range tokens {
		s.mark(tokens, i)
		s.take(tokens, i)
		if wrong := s.beyond(); wrong != "" {
			d.problems = append(d.problems, Problem{File: d.file, Line: t.Position.Line, Column: t.Position.Column, Text: wrong})
			return false
		}
	}
	return true
}

// beyond says which limit the file is beyond; empty if it is within all.
func (s *shape) beyond() string {
	n := len(s.open)
	switch {
	case n+s.marks > maxDepth:
		return fmt.Sprintf("nested deeper than %d levels", maxDepth)
	case n > 0 && max(s.open[n-1].keys, s.open[n-1].commas+1) > maxKeys:
		return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
	case s.empty > maxEmpty:
		return fmt.Sprintf("more than %d keys without a value", maxEmpty)
	}
	return ""
}

func (s *shape) mark(tokens token.Tokens, i int) {
	switch {
	case tokens[i].Type == token.TagType || tokens[i].Type == token.AnchorType:
		s.marks++
	case i > 0 && tokens[i-1].Type != token.AnchorType: // after an anchor comes its name
		s.marks = 0
	}
}

func (s *shape) take(tokens token.Tokens, i int) {
	t, n := tokens[i], len(s.open)
	switch t.Type {
	case token.DocumentHeaderType, token.DocumentEndType:
		s.open = nil
	case token.SequenceStartType, token.MappingStartType:
		s.open = append(s.open, level{flow: true, braces: t.Type == token.MappingStartType})
	case token.SequenceEndType, token.MappingEndType:
		if n > 0 && s.open[n-1].flow {
			s.open = s.open[:n-1]
		}
	case token.CollectEntryType:
		if n > 0 && s.open[n-1].braces {
			s.open[n-1].commas++
		} else if n > 0 && s.open[n-1].flow {
			s.open[n-1].keys = 0 // the next item of a list
		}
	case token.SequenceEntryType:
		if n > 0 && s.open[n-1].flow {
			s.open = append(s.open, level{flow: true}) // no YAML, but the parser goes down
		} else {
			s.open = enter(s.open, t.Position.Column)
		}
	case token.MappingKeyType:
		s.open = enter(s.open, t.Position.Column)
		s.open[len(s.open)-1].keys++ // twice, if it has a colon
	case token.MappingValueType:
		s.key(tokens, i)
	}
}

// key takes the colon after a key.
func (s *shape) key(tokens token.Tokens, i int) {
	line, column := tokens[i].Position.Line, tokens[i].Position.Column
	if i > 0 && tokens[i-1].Position.Line == line {
		column = tokens[i-1].Position.Column
	}
	s.open = enter(s.open, column)
	s.open[len(s.open)-1].keys++
	if i+1 == len(tokens) || endsBefore(tokens[i+1], line, column) {
		s.empty++
	}
}

// endsBefore tells whether the value of a key in that line and column is nothing, since the token after the colon is not
// part of it.
func endsBefore(next *token.Token, line, column int) bool {
	at := next.Position
	return at.Line > line && (at.Column < column || at.Column == column && next.Type != token.SequenceEntryType)
}

// enter is the open collections where an item begins in that column: those further to the right have ended. Within
// brackets columns mean nothing. A column that nothing else has may be that of a key with a tag before it, so that the
// keys counted further to the right may be of the same mapping.
func enter(open []level, column int) []level {
	next := level{column: column}
	for n := len(open); n > 0; n = len(open) {
		switch top := open[n-1]; {
		case top.flow || top.column == column:
			return open
		case top.column < column:
			return append(open, next)
		default:
			next.keys += top.keys
		}
		open = open[:n-1]
	}
	return append(open, next)
}
