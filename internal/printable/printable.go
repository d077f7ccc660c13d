// Package printable makes foreign text, what a file or an application says, fit for the place where it is shown: a line
// of a terminal, a page, a comment in a script. Text that needs no change is given back as it is.
package printable

import (
	"strings"
	"unicode"
)

// replacement stands for what cannot be shown.
const replacement = '\uFFFD'

// Line is s as one line for a terminal: a line break or a tab becomes a space, other control characters, with which a
// text could move the cursor or change colours, are left out.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return uncontrolled(r)
	}, s)
}

// Text is [Line] for a text of several lines: they stay, and so do tabs.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return uncontrolled(r)
	}, s)
}

func uncontrolled(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}

// Visible is s as one line in which every character can be seen for what it is: control characters, those that turn the
// direction of writing or hide, and bytes that are not UTF-8 become U+FFFD, a line break or a tab a space.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return replacement
		}
		return r
	}, strings.ToValidUTF8(s, string(replacement)))
}

// Comment is s as the comment of a script, each line of it with mark in front ("# "), so that no part of it can be a
// command. It has no line break at its end.
func Comment(mark, s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = mark + Line(line)
	}
	return strings.Join(lines, "\n")
}
