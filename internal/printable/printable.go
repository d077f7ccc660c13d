// Package printable makes foreign text, what a file or an application says, fit for the place where it is shown: a line
// of a terminal, a page, a comment in a script. Text that needs no change is given back as it is.
package printable

import (
	"strings"
	"unicode"
)

// replacement stands for what cannot be shown.
const replacement = '\uFFFD'

// Line is s as one line in which every character can be seen for what it is: control characters, with which a text could
// move the cursor or change colours, those that turn the direction of writing or hide, and bytes that are not UTF-8 become
// U+FFFD, a line break or a tab a space.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return seen(r)
	}, clean(s))
}

// Text is [Line] for a text of several lines: they stay, and so do tabs.
func Text(s string) string { return text(clean(s)) }

func text(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return seen(r)
	}, s)
}

// clean is s in UTF-8, and without the carriage return that some put before a line's end.
func clean(s string) string {
	s = valid(s)
	if strings.ContainsRune(s, '\r') {
		s = strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\r")
	}
	return s
}

func valid(s string) string { return strings.ToValidUTF8(s, string(replacement)) }

func seen(r rune) rune {
	if hidden(r) {
		return replacement
	}
	return r
}

// hidden tells whether a character acts on a terminal or cannot be seen, instead of being shown.
func hidden(r rune) bool {
	return unicode.IsControl(r) || r > unicode.MaxLatin1 &&
		unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) || r == '\u00ad'
}

// IsLine tells whether s is one line as it is, with nothing in it that [Line] would change.
func IsLine(s string) bool { return Line(s) == s }

// IsText tells whether s has nothing in it that [Text] would change.
func IsText(s string) bool { return Text(s) == s }

// Comment is s as the comment of a script, each line of it with mark in front ("# "), so that no part of it can be a
// command. It has no line break at its end.
func Comment(mark, s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = mark + Line(line)
	}
	return strings.Join(lines, "\n")
}
