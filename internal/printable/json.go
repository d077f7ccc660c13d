package printable

import (
	"bytes"
	"fmt"
	"unicode/utf16"
)

// EscapedJSON is a JSON document with every hidden character written as \u and its number. Such characters stand in strings
// only: outside of them JSON has line breaks, tabs and spaces.
func EscapedJSON(document []byte) []byte {
	shown := func(r rune) bool { return r == '\n' || r == '\t' || r == '\r' || !hidden(r) }
	if bytes.IndexFunc(document, func(r rune) bool { return !shown(r) }) < 0 {
		return document
	}
	var out bytes.Buffer
	for _, r := range string(document) {
		switch {
		case shown(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}
