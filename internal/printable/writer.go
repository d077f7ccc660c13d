package printable

import (
	"bytes"
	"io"
	"slices"
	"unicode/utf8"
)

// Writer is the door to a terminal: whatever is written, what comes out is a text of lines in which
// every character can be seen. It is the lowest floor, below all that
// others do to make a text fit, and knows nothing of who wrote what.
type Writer struct {
	w io.Writer
	// painted lets ctsim's own colours pass.
	painted bool
	// held is the begin of a character or of a colour that ended with a write.
	held []byte
}

// NewWriter is a door to w. Painted lets the colours of [Styles] pass, and nothing else that a terminal acts on.
func NewWriter(w io.Writer, painted bool) *Writer { return &Writer{w: w, painted: painted} }

// Styles are the parameters of SGR (ECMA-48) that may pass where text is painted: bold, faint, four colours, and the end
// of all. Nothing can be hidden by them.
var Styles = []string{"0", "1", "2", "31", "32", "33", "36"}

// Write writes what b says, and all that was held back before.
func (d *Writer) Write(b []byte) (int, error) {
	all := append(d.held, b...)
	whole := len(all) - d.unfinished(all)
	d.held = slices.Clone(all[whole:])
	if whole == 0 {
		return len(b), nil
	}
	if _, err := d.w.Write(d.fit(all[:whole])); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close writes what is still held back: no more comes that would complete it.
func (d *Writer) Close() error {
	rest := d.held
	d.held = nil
	if len(rest) == 0 {
		return nil
	}
	_, err := d.w.Write([]byte(text(valid(string(rest)))))
	return err
}

// fit is b with all that is hidden shown, and with its colours.
func (d *Writer) fit(b []byte) []byte {
	if !d.painted {
		return []byte(text(valid(string(b))))
	}
	var out []byte
	for {
		before, rest, found := bytes.Cut(b, []byte("\x1b["))
		out = append(out, text(valid(string(before)))...)
		if !found {
			return out
		}
		parameter, after, ended := bytes.Cut(rest, []byte("m"))
		if ended && slices.Contains(Styles, string(parameter)) {
			out = append(append(append(out, "\x1b["...), parameter...), 'm')
			b = after
			continue
		}
		out = append(append(out, string(replacement)...), '[')
		b = rest
	}
}

// unfinished is how many bytes at the end may be the begin of a character, or of a colour.
func (d *Writer) unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if last := b[len(b)-n:]; utf8.RuneStart(last[0]) && !utf8.FullRune(last) {
			return n
		}
	}
	const longest = len("\x1b[31")
	if i := bytes.LastIndexByte(b[max(0, len(b)-longest):], 0x1b); d.painted && i >= 0 {
		i += max(0, len(b)-longest)
		if bytes.IndexByte(b[i:], 'm') < 0 {
			return len(b) - i
		}
	}
	return 0
}

// JSON is w for JSON documents, one a write or some: characters that act on a terminal or cannot be seen are written as
// \u and their number, so that a document says the same to a program, and nothing to a terminal.
func JSON(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(b []byte) (int, error) {
	if _, err := j.w.Write(EscapedJSON(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}
