package strictyaml

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// numbered repeats a text n times with the numbers from 1 on.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}

// steps is n texts, each on a line of its own and further to the right than the one before.
func steps(text string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + text + "\n")
	}
	return b.String()
}

// TestBounded: what would take the parser's time or memory is refused before it is parsed, with its place. Without the
// limits some of these take minutes, or all memory there is.
func TestBounded(t *testing.T) {
	const deep, wide = "nested deeper than 64 levels", "more than 1000 keys in one mapping"
	const many = "more than 50000 brackets, dashes, colons, commas, quotes and lines (put the scenarios into several files)"
	for _, c := range []struct{ name, text, want string }{
		{"lists in brackets", strings.Repeat("[", 50_000), "f:1:65: " + deep},
		{"mappings in brackets", strings.Repeat("{a: ", 25_000), "f:1:257: " + deep},
		{"brackets below a key", "scenarios:\n  - name: " + strings.Repeat("[", 40_000), deep},
		{"lists by dashes", strings.Repeat("- ", 50_000), "f:1:129: " + deep},
		{"lists by dashes in brackets", "[" + strings.Repeat("- ", 40_000), deep},
		{"explicit keys", strings.Repeat("? ", 50_000), deep},
		{"mappings by columns", steps("a:", 1000), "f:65:66: " + deep},
		{"keys on one line", strings.Repeat("a: ", 50_000), deep},
		{"tags", strings.Repeat("!t ", 50_000), deep},
		{"anchors", strings.Repeat("&a ", 50_000), deep},
		{"keys", numbered("key%d: 1\n", 25_000), "f:1001:8: " + wide},
		{"the same key", strings.Repeat("a: 1\n", 25_000), "f:1001:2: " + wide},
		{"keys in brackets", "{" + numbered("key%d: 1,", 20_000), wide},
		{"keys without values in braces", "{" + strings.Repeat("a, ", 40_000), wide},
		{"keys after question marks", strings.Repeat("? a\n", 25_000), wide},
		{"keys without values", strings.Repeat("- a:\n  - b:\n", 8_000), "more than 2000 keys without a value"},
		{"keys over lists", numbered("key%d:\n- a\n", 10_000), wide},
		{"keys with tags of many lengths", strings.Repeat("!ttt a: 1\n!tt b: 1\n!t c: 1\n", 5_000), wide},
		{"very many brackets", strings.Repeat("[", 100_000), "f:1:50001: " + many},
		{"very many lines", strings.Repeat("a: b\n", 60_000), "f:25001:2: " + many},
		{"very many quotes", strings.Repeat(`"`, 1<<20), "f:1:50001: " + many},
		{"very many commas in quotes", `a: "` + strings.Repeat(`,`, 1<<19) + `"`, many},
		{"very many directives", strings.Repeat("%", 1<<20), many},
		{"more than there may be", strings.Repeat("a", 1<<20+1), "f: 1048577 bytes; a test has at most 1048576"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := New("f")
			begun := time.Now()
			if docs := d.Documents([]byte(c.text), "a test", 1<<20); docs != nil {
				t.Errorf("%d documents", len(docs))
			}
			if err := d.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.200v, want %s", err, c.want)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestWithinBounds: the limits themselves are allowed, and what looks like brackets or keys and is none does not count.
func TestWithinBounds(t *testing.T) {
	for name, text := range map[string]string{
		"64 brackets":              strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"64 dashes":                strings.Repeat("- ", 64) + "a",
		"64 columns":               strings.TrimSuffix(steps("a:", 64), "\n") + " b",
		"1000 keys":                numbered("key%d: 1\n", 1000),
		"1000 keys in each of two": "a:\n" + numbered("  key%d: 1\n", 1000) + "b:\n" + numbered("  key%d: 1\n", 1000),
		"1000 keys in braces":      "{" + strings.TrimSuffix(numbered("key%d: 1,", 1000), ",") + "}",
		"many items in brackets":   "[" + strings.TrimSuffix(numbered("key%d: 1,", 10_000), ",") + "]",
		"1000 keys without values": numbered("key%d:\n", 1000),
		"many lists below keys":    strings.Repeat("- a:\n  - b\n- c:\n    d: 1\n", 5000),
		"many documents":           strings.Repeat("--- a\n", 10_000),
		"many items":               strings.Repeat("- {a: 1}\n", 10_000),
		"many items of lines":      strings.Repeat("- a: 1\n  b:\n    c: 2\n", 7_000),
		"many lists":               strings.Repeat("- [a, [b]]\n", 7_000),
		"many tags and anchors":    numbered("- !t &a%d b\n", 10_000),
		"a text in quotes":         `a: "` + strings.Repeat("[", 1000) + `"`,
		"a text of lines":          "a: |\n  " + strings.Repeat("- ", 1000) + "\n" + strings.Repeat("  b: 1\n", 2000),
		"a comment":                "a: 1 # " + strings.Repeat("[", 1000),
	} {
		d := New("f")
		if docs := d.Documents([]byte(text), "a test", 1<<20); len(docs) == 0 || d.Err() != nil {
			t.Errorf("%s: %d documents, error %.200v", name, len(docs), d.Err())
		}
	}
}

// TestProblemsAreBounded: of a file that is wrong all over, a hundred problems are listed, with the number of the others, and
// of a text that fills the file no more than a person reads.
func TestProblemsAreBounded(t *testing.T) {
	d := New("f")
	for _, doc := range d.Documents([]byte("name: a\nlist:\n"+strings.Repeat("- x\n", 300)), "a test", 1<<20) {
		d.Decode(doc, &sample{})
	}
	lines := strings.Split(d.Err().Error(), "\n")
	if len(lines) != 101 || lines[100] != "f: and 200 more problems" || !strings.HasPrefix(lines[99], "f:102:3: list[99]: ") || d.Count() != 300 {
		t.Errorf("%d problems, %d lines, the last %q", d.Count(), len(lines), lines[len(lines)-2:])
	}
	d = New("f")
	for _, doc := range d.Documents([]byte(strings.Repeat("é", 1<<18)+": "+strings.Repeat("x", 1<<18)), "a test", 1<<20) {
		d.Decode(doc, &sample{})
	}
	if text := d.Err().Error(); len(text) > 2000 || strings.ContainsRune(text, '\uFFFD') {
		t.Errorf("%d bytes: %.200q", len(text), text)
	}
}
