package printable

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// written is what comes out of a door of what is written in parts of n bytes.
func written(t *testing.T, painted bool, text string, n int) string {
	t.Helper()
	var out strings.Builder
	door := NewWriter(&out, painted)
	for i := 0; i < len(text); i += n {
		part := text[i:min(i+n, len(text))]
		if got, err := door.Write([]byte(part)); got != len(part) || err != nil {
			t.Fatalf("%d bytes of %q written, error %v", got, part, err)
		}
	}
	if err := door.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestWriter: a text comes out as Text makes it, in however many parts it is written; colours pass where it is painted.
func TestWriter(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a → b\n\tc\n": "a → b\n\tc\n", "\x1b[2J\x1b]0;title\a": "\uFFFD[2J\uFFFD]0;title\uFFFD", "a\u202eb": "a\uFFFDb",
		"\x1b[31mred\x1b[0m": "\uFFFD[31mred\uFFFD[0m", "\xffend\xe2\x82": "\uFFFDend\uFFFD", "\x1b": "\uFFFD", "a\rb": "a\uFFFDb",
	} {
		for n := 1; n <= len(in)+1; n++ {
			if got := written(t, false, in, n); got != want {
				t.Errorf("%q in parts of %d: %q, want %q", in, n, got, want)
			}
		}
	}
	for in, want := range map[string]string{
		"\x1b[31mred\x1b[0m é": "\x1b[31mred\x1b[0m é", "\x1b[1ma\x1b[2mb\x1b[36mc": "\x1b[1ma\x1b[2mb\x1b[36mc", "\x1b[8mhidden\x1b[28m": "\uFFFD[8mhidden\uFFFD[28m",
		"\x1b[2J\x1b[31m": "\uFFFD[2J\x1b[31m", "\x1b[31;8mx": "\uFFFD[31;8mx", "\x1b[\x1b[31m": "\uFFFD[\x1b[31m", "\u009b31m": "\uFFFD31m", "\x1b[3": "\uFFFD[3",
		"\x1b[m": "\uFFFD[m", "\x1bm": "\uFFFDm",
	} {
		for n := 1; n <= len(in)+1; n++ {
			if got := written(t, true, in, n); got != want {
				t.Errorf("painted, %q in parts of %d: %q, want %q", in, n, got, want)
			}
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWriterError(t *testing.T) {
	door := NewWriter(broken{}, false)
	if _, err := door.Write([]byte("a")); err == nil {
		t.Error("an error is lost")
	}
}

// FuzzWriter: nothing that a terminal acts on comes out, but ctsim's colours, whatever goes in and in whatever parts.
func FuzzWriter(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m \x1b[8m\u202e\xff", "\x1b[", 3)
	f.Fuzz(func(t *testing.T, a, b string, n int) {
		n = max(1, n%100)
		plain := written(t, false, a+b, n)
		if !IsText(plain) {
			t.Errorf("%q becomes %q", a+b, plain)
		}
		painted := written(t, true, a+b, n)
		for _, style := range Styles {
			painted = strings.ReplaceAll(painted, "\x1b["+style+"m", " ")
		}
		if !IsText(painted) {
			t.Errorf("painted, %q becomes %q", a+b, painted)
		}
	})
}

// TestJSON: a document says the same, and shows nothing.
func TestJSON(t *testing.T) {
	in := []string{"é\u202e\x7f\u009b \U000E0041\t\n\x1b", "\u2028"}
	var out strings.Builder
	if err := json.NewEncoder(JSON(&out)).Encode(in); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || len(got) != 2 || got[0] != in[0] || got[1] != in[1] || !IsText(out.String()) {
		t.Errorf("%q: %q, %v", out.String(), got, err)
	}
}
