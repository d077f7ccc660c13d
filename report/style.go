package report

import (
	"strings"
	"unicode/utf8"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// style is an SGR parameter (ECMA-48) that every terminal of today knows.
type style string

const (
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func verdictStyle(v verdict.Verdict) style {
	switch v {
	case verdict.Pass:
		return green
	case verdict.Fail:
		return red
	}
	return yellow
}

func (t *text) paint(s style, what string) string {
	if !t.o.Color || s == "" || what == "" {
		return what
	}
	return "\x1b[" + string(s) + "m" + what + "\x1b[0m"
}

// wrapped writes a sentence with first in front of its first line and next in front of the others. Words longer than
// a line are left whole. Nothing is written for an empty sentence.
func (t *text) wrapped(first, next, sentence string) { t.wrappedIn("", first, next, sentence) }

// wrappedIn is wrapped with the sentence, but not what stands in front of its lines, in a colour. The sentence may be
// foreign text: it is made fit for the terminal here, before it is painted, and each line is painted by itself, so that
// a pager that shows a part of the report shows it in its colours.
func (t *text) wrappedIn(s style, first, next, sentence string) {
	words := strings.Fields(printable.Line(sentence))
	if len(words) == 0 {
		return
	}
	front, line := first, words[0]
	for _, word := range words[1:] {
		if columns(front)+columns(line)+1+columns(word) > t.width {
			t.line("%s%s", front, t.paint(s, line))
			front, line = next, word
			continue
		}
		line += " " + word
	}
	t.line("%s%s", front, t.paint(s, line))
}

// columns is the width of s on a terminal; colours take none.
func columns(s string) int {
	n := 0
	for s != "" {
		before, rest, colour := strings.Cut(s, "\x1b[")
		n += utf8.RuneCountInString(before)
		if !colour {
			break
		}
		_, s, _ = strings.Cut(rest, "m")
	}
	return n
}
