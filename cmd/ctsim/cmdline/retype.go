package cmdline

import (
	"os"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/scenario/byhand"
)

// Program is how ctsim was called, ready to paste.
func (inv *Call) Program() string { return Quote(inv.Args[0]) }

// Retyped is the command line as the user typed it, with one word changed, or taken out if the new one is empty.
func (inv *Call) Retyped(word, instead string) string {
	args := slices.Clone(inv.Args)
	for i, arg := range args[1:] {
		before, value, hasValue := strings.Cut(arg, "=")
		switch {
		case arg == word:
			args[i+1] = instead
		case hasValue && before == word:
			args[i+1] = instead + "=" + value
		case hasValue && value == word:
			args[i+1] = before + "=" + instead
		default:
			continue
		}
		if args[i+1] == "" {
			args = slices.Delete(args, i+1, i+2)
		}
		break
	}
	return Join(args)
}

// With is the command line as the user typed it, with one more flag: before a `--`, if there is one.
func (inv *Call) With(flag string) string {
	args := slices.Clone(inv.Args)
	at := len(args)
	if i := slices.Index(args, "--"); i >= 0 {
		at = i
	}
	return Join(slices.Insert(args, at, flag))
}

// WithRoot is the command line as the user typed it, to be run as root. The binary's path is absolute, because sudo has
// a PATH of its own.
func (inv *Call) WithRoot() string {
	args := slices.Clone(inv.Args)
	if path, err := os.Executable(); err == nil {
		args[0] = path
	}
	return "sudo " + Join(args)
}

// BySudo tells whether root's ctsim was called by a user who would have to put sudo in front of what is to be typed next.
func BySudo() bool { return os.Getenv("SUDO_USER") != "" }

// Join is words as one line for a shell.
func Join(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = Quote(arg)
	}
	return strings.Join(quoted, " ")
}

// Quote is one word for a shell.
func Quote(word string) string { return byhand.ShellQuote(word) }
