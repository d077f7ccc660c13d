package strictyaml

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// The parser's time and memory grow with the square of how deep a file is nested, and of how many keys one mapping has: a
// file of 100 kB that is nothing but brackets takes gigabytes, one of 32,000 keys ten seconds.
const (
	maxDepth = 100
	maxKeys  = 1000
)

// level is a collection that is open at a place of the file.
type level struct {
	flow   bool // in brackets
	column int  // of its items, unless flow
	keys   int
}

// bounded tells whether the file is within the limits, before it is parsed, and notes where it is not. It needs no more
// of the syntax than brackets, keys, dashes and their columns.
func (d *Decoder) bounded(tokens token.Tokens) bool {
	var open []level
	marks := 0 // tags and anchors before one value, of which each is a node around the next
	for i, t := range tokens {
		item := false
		column := t.Position.Column
		switch t.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			open = nil
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, level{flow: true})
		case token.SequenceEndType, token.MappingEndType:
			if n := len(open); n > 0 && open[n-1].flow {
				open = open[:n-1]
			}
		case token.MappingValueType:
			if i > 0 && tokens[i-1].Position.Line == t.Position.Line {
				column = tokens[i-1].Position.Column // the key's
			}
			item = true
		case token.SequenceEntryType, token.MappingKeyType:
			item = true
		}
		if t.Type == token.TagType || t.Type == token.AnchorType {
			marks++
		} else if i > 0 && tokens[i-1].Type != token.AnchorType { // after an anchor comes its name
			marks = 0
		}
		if n := len(open); t.Type == token.SequenceEntryType && n > 0 && open[n-1].flow {
			open = append(open, level{flow: true}) // no YAML, but the parser goes down
		} else if item {
			open = enter(open, column)
			if t.Type == token.MappingValueType {
				open[len(open)-1].keys++
			}
		}
		what, limit := "", 0
		switch n := len(open); {
		case n+marks > maxDepth:
			what, limit = "nested deeper than %d levels", maxDepth
		case n > 0 && open[n-1].keys > maxKeys:
			what, limit = "more than %d keys in one mapping", maxKeys
		default:
			continue
		}
		d.problems = append(d.problems, Problem{File: d.file, Line: t.Position.Line, Column: t.Position.Column,
			Text: fmt.Sprintf(what, limit)})
		return false
	}
	return true
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
