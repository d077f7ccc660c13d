package byhand

import (
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/internal/printable"
)

// ShellQuote is one word for a shell, in single quotes if it has to be. It is one line in which every character can be
// seen, whatever the word is: of a word that is not, the bytes that would be hidden are written as bash, ksh and zsh read
// them, $'\x1b'. No word is any option, variable or command of the shell.
func ShellQuote(word string) string {
	if printable.IsLine(word) {
		return PlainQuote(word)
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, r := range strings.ToValidUTF8(word, "\uFFFD") {
		switch one := string(r); {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\'' || r == '\\':
			b.WriteString(`\` + one)
		case printable.IsLine(one):
			b.WriteString(one)
		default:
			for i := range len(one) {
				fmt.Fprintf(&b, `\x%02x`, one[i])
			}
		}
	}
	b.WriteString("'")
	return b.String()
}

// PlainQuote is one word for any POSIX shell: for what is handed to sh, and not shown.
func PlainQuote(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
