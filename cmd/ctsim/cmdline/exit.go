package cmdline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
)

// The exit codes.
const (
	ExitPass         = 0
	ExitFail         = 1
	ExitUsage        = 2
	ExitUnsupported  = 3
	ExitInconclusive = 4
	// ExitSkip is what `git bisect run` takes for a commit that cannot be tested.
	ExitSkip = 125
)

// Exit is an error that knows its exit code. Its text is lower case without a full stop and says what is wrong; the hint
// is a command to paste or a way out. An empty text means that all has been said.
type Exit struct {
	Code       int
	Text, Hint string
}

// Error is the text, without the hint.
func (e *Exit) Error() string { return e.Text }

// NewExit is an error with its exit code; an empty hint is none.
func NewExit(code int, text, hint string) *Exit { return &Exit{Code: code, Text: text, Hint: hint} }

// Ended is how a command ends that has said all there is to say.
func Ended(code int) error {
	if code == ExitPass {
		return nil
	}
	return &Exit{Code: code}
}

// Usage is the error of wrong usage of a command; its hint is the command's help.
func (inv *Call) Usage(command, format string, args ...any) error {
	hint := inv.Program() + " --help"
	if command != "" && command != "ctsim" {
		hint = inv.Program() + " " + command + " --help"
	}
	return NewExit(ExitUsage, fmt.Sprintf(format, args...), hint)
}

// UsageHint is the error of wrong usage with a hint that says what was probably meant.
func UsageHint(hint, format string, args ...any) error {
	return NewExit(ExitUsage, fmt.Sprintf(format, args...), hint)
}

// finish says what was wrong and gives the exit code. A write to stdout that was lost is wrong too, whoever made it; it
// decides the code if nothing else does.
func (inv *Call) finish(err error) int {
	lost := inv.Stdout.Err()
	if lost != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = lost // the command ended because of it
	}
	code := inv.Report(err)
	if lost != nil && !errors.Is(err, lost) {
		inv.Complain(lost.Error(), "")
	}
	return code
}

// Report writes an error to stderr and gives its exit code. Errors that name no code are the machine's: a file that
// cannot be written, a namespace that cannot be made.
func (inv *Call) Report(err error) int {
	err = audible(err)
	var (
		coded       *Exit
		problems    scenario.Problems
		unsupported *build.Unsupported
		interrupted Interruption
	)
	switch {
	case err == nil:
		return ExitPass
	case errors.As(err, &coded):
		inv.Complain(coded.Text, coded.Hint)
		return coded.Code
	case errors.As(err, &problems):
		for _, p := range problems {
			fmt.Fprintln(inv.Stderr, printable.Line(p.String())) // a line each, whatever a key of the file holds
		}
		return ExitUsage
	case errors.As(err, &interrupted):
		inv.Complain(err.Error(), "")
		return interrupted.ExitCode()
	case errors.As(err, &unsupported):
		inv.Complain(err.Error(), unsupported.Hint)
		return ExitUnsupported
	}
	inv.Complain(err.Error(), "")
	return ExitUnsupported
}

// audible is err without its quiet parts, if it is joined of several and one of them says something: a quiet end, by
// Ctrl-C for instance, must not hide what went wrong besides.
func audible(err error) error {
	var joined interface{ Unwrap() []error }
	if !quiet(err) || !errors.As(err, &joined) {
		return err
	}
	var loud []error
	for _, part := range joined.Unwrap() {
		if part = audible(part); !quiet(part) {
			loud = append(loud, part)
		}
	}
	if len(loud) == 0 {
		return err
	}
	return errors.Join(loud...)
}

// quiet tells whether nothing would be said of an error.
func quiet(err error) bool {
	var coded *Exit
	return errors.As(err, &coded) && coded.Text == ""
}

// Complain writes one error for a person.
func (inv *Call) Complain(text, hint string) {
	if text != "" {
		fmt.Fprintf(inv.Stderr, "ctsim: %s\n", printable.Text(text))
	}
	if hint != "" {
		fmt.Fprintf(inv.Stderr, "hint: %s\n", printable.Text(hint))
	}
}

// Interrupted is why ctx was cancelled by a signal; false if it was not.
func Interrupted(ctx context.Context) (Interruption, bool) {
	var i Interruption
	ok := ctx.Err() != nil && errors.As(context.Cause(ctx), &i)
	return i, ok
}

// InterruptedBy is Interrupted for somebody who has an error at hand, and gives the signal a moment to come: Ctrl-C
// reaches a program that ctsim has started as well as ctsim, and that the program has failed may be seen first.
func InterruptedBy(ctx context.Context, err error) (Interruption, bool) {
	if err != nil {
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return Interrupted(ctx)
}
