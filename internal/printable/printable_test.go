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
		"": "", "tcp_v4_rcv → tcp_v4_do_rcv": "tcp_v4_rcv → tcp_v4_do_rcv", "a\nb\tc": "a b c", "\x1b[31mred\r\a\x7f": "[31mred",
		"\u009b31m": "31m", "キー": "キー",
	})
}

func TestText(t *testing.T) {
	check(t, "Text", Text, map[string]string{"": "", "a\n\tb\n": "a\n\tb\n", "\x1b[2Ja\r\nb": "[2Ja\nb"})
}

func TestVisible(t *testing.T) {
	check(t, "Visible", Visible, map[string]string{
		"tcp_v4_rcv → tcp_v4_do_rcv": "tcp_v4_rcv → tcp_v4_do_rcv", "a\nb\tc": "a b c", "\x1b[31mred": "\uFFFD[31mred",
		"\u202Eabc": "\uFFFDabc", "\xff": "\uFFFD", "": "", "zero\u200bwidth": "zero\uFFFDwidth", "a\u2028b": "a\uFFFDb",
	})
}

// TestComment: whatever the text, every line of it is a comment.
func TestComment(t *testing.T) {
	check(t, "Comment", func(s string) string { return Comment("# ", s) }, map[string]string{
		"": "# ", "why": "# why", " a\n\nb \n": "# a\n# \n# b", "a\nrm -rf ~": "# a\n# rm -rf ~", "a\r\nb\x1b[A": "# a\n# b[A", "a\rb": "# ab",
	})
}
