package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

// The exit codes.
const (
	exitPass         = 0
	exitFail         = 1
	exitUsage        = 2
	exitUnsupported  = 3
	exitInconclusive = 4
)

// exitCodes is the part of the help that names them.
const exitCodes = `Exit codes: 0 as expected, 1 not as expected, 2 wrong usage or a bad scenario file, 3 this machine cannot
run it, 4 inconclusive; of several scenarios the code is the first of 1, 3, 4 that any of them has. Ended by
SIGINT or SIGTERM: 130 or 143, after a partial report.`

// exit is an error that knows its exit code. Its text is lower case without a full stop and says what is wrong; hint is
// a command to paste or a way out. An empty text means that all has been said.
type exit struct {
	code       int
	text, hint string
}

func (e *exit) Error() string { return e.text }

// usage is the error of wrong usage of a command; its hint is the command's help.
func (inv *invocation) usage(command, format string, args ...any) error {
	hint := inv.program() + " --help"
	if command != "" && command != "ctsim" {
		hint = inv.program() + " " + command + " --help"
	}
	return &exit{exitUsage, fmt.Sprintf(format, args...), hint}
}

// usageHint is the error of wrong usage with a hint that says what was probably meant.
func usageHint(hint, format string, args ...any) error {
	return &exit{exitUsage, fmt.Sprintf(format, args...), hint}
}

// finish writes an error to stderr and gives the exit code. Errors that name no code are the machine's: a file that
// cannot be written, a namespace that cannot be made.
func (inv *invocation) finish(err error) int {
	var (
		coded       *exit
		problems    scenario.Problems
		unsupported *scenario.Unsupported
		interrupted interruption
	)
	switch {
	case err == nil:
		return exitPass
	case errors.As(err, &coded):
		inv.complain(coded.text, coded.hint)
		return coded.code
	case errors.As(err, &problems):
		fmt.Fprintln(inv.stderr, printable.Text(problems.Error()))
		return exitUsage
	case errors.As(err, &interrupted):
		inv.complain(err.Error(), "")
		return interrupted.exitCode()
	case errors.As(err, &unsupported):
		inv.complain(err.Error(), unsupported.Hint)
		return exitUnsupported
	}
	inv.complain(err.Error(), "")
	return exitUnsupported
}

// complain writes one error for a person.
func (inv *invocation) complain(text, hint string) {
	if text != "" {
		fmt.Fprintf(inv.stderr, "ctsim: %s\n", printable.Text(text))
	}
	if hint != "" {
		fmt.Fprintf(inv.stderr, "hint: %s\n", printable.Text(hint))
	}
}

// interrupted is why ctx was cancelled by a signal; false if it was not.
func interrupted(ctx context.Context) (interruption, bool) {
	var i interruption
	ok := ctx.Err() != nil && errors.As(context.Cause(ctx), &i)
	return i, ok
}
