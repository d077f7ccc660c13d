package main

import (
	"os"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// program is how ctsim was called, ready to paste.
func (inv *invocation) program() string { return quote(inv.args[0]) }

// retyped is the command line as the user typed it, with one word changed, or taken out if the new one is empty.
func (inv *invocation) retyped(word, instead string) string {
	args := slices.Clone(inv.args)
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
	return commandLine(args)
}

// withRoot is the command line as the user typed it, to be run as root. The binary's path is absolute, because sudo has
// a PATH of its own.
func (inv *invocation) withRoot() string {
	args := slices.Clone(inv.args)
	if path, err := os.Executable(); err == nil {
		args[0] = path
	}
	return "sudo " + commandLine(args)
}

func commandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = quote(arg)
	}
	return strings.Join(quoted, " ")
}

// quote is one word for a shell.
func quote(word string) string { return scenario.ShellQuote(word) }
