package printable

import (
	"testing"
)

func check(t *testing.T, what string, f func(string) string, cases map[string]string) {
	t.Helper()
	for in, want := range cases {
		if got := f(in); got != want {
			t.Errorf("%s(%q) = %q, want %q", what, in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	check(t, "Line", Line, map[string]string{
		"": "", "tcp_v4_rcv → tcp_v4_do_rcv": "tcp_v4_rcv → tcp_v4_do_rcv", "a\nb\tc": "a b c", "キー": "キー", "ñ": "ñ",
		"\x1b[31mred\a\x7f": "\uFFFD[31mred\uFFFD\uFFFD", "\u009b31m": "\uFFFD31m", "\xff": "\uFFFD",
		"\u202Eabc\u2066": "\uFFFDabc\uFFFD", "zero\u200bwidth": "zero\uFFFDwidth", "a\u2028b": "a\uFFFDb", "soft\u00adhyphen": "soft\uFFFDhyphen",
		"filler\u3164": "filler\uFFFD", "tag\U000E0041": "tag\uFFFD", "said\r\nmore\r": "said more", "over\rwritten": "over\uFFFDwritten",
	})
}

func TestText(t *testing.T) {
	check(t, "Text", Text, map[string]string{"": "", "a\n\tb\n": "a\n\tb\n", "\x1b[2Ja\r\nb": "\uFFFD[2Ja\nb", "\u202E": "\uFFFD"})
}

// TestIs: what a text may be is what is shown as it is.
func TestIs(t *testing.T) {
	for s, want := range map[string][2]bool{"": {true, true}, "a claim → so": {true, true}, "two\nlines": {false, true}, "a\ttab": {false, true},
		"\x1b": {false, false}, "a\r\nb": {false, false}, "\u202e": {false, false}, "\xff": {false, false}} {
		if got := [2]bool{IsLine(s), IsText(s)}; got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// TestComment: whatever the text, every line of it is a comment.
func TestComment(t *testing.T) {
	check(t, "Comment", func(s string) string { return Comment("# ", s) }, map[string]string{
		"": "# ", "why": "# why", " a\n\nb \n": "# a\n# \n# b", "a\nrm -rf ~": "# a\n# rm -rf ~", "a\r\nb\x1b[A": "# a\n# b\uFFFD[A", "a\rb": "# a\uFFFDb",
	})
}
