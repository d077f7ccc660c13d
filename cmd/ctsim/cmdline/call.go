package cmdline

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Call is one call of the command line: what was typed, and where it reads and writes.
type Call struct {
	// Args are as typed, the program first.
	Args  []string
	Stdin io.Reader
	// Stdout is for what was asked for, Stderr for people. Nothing gets to a terminal but by these two doors.
	Stdout, Stderr *Output
}

// NewCall is a call that reads and writes nothing but what it is given.
func NewCall(args []string, stdin io.Reader, stdout, stderr io.Writer) *Call {
	if len(args) == 0 {
		args = []string{"ctsim"}
	}
	return &Call{Args: args, Stdin: stdin, Stdout: NewOutput(stdout), Stderr: NewOutput(stderr)}
}

// Commands are all commands of a program, in the order of its help.
type Commands func(*Call) []*cli.Command

// Run does what the command line says and gives the exit code. It starts no goroutine that outlives it but one that
// waits for a line of stdin. The context of the commands ends when stdout cannot be written to any more: nobody would see
// what they do.
func (inv *Call) Run(ctx context.Context, app *cli.App) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer inv.Stderr.Close()
	defer inv.Stdout.Close()
	inv.Stdout.OnFailure(cancel)
	arranged, err := inv.Arrange(app.Commands)
	if err == nil {
		err = app.RunContext(ctx, arranged)
	}
	return inv.finish(err)
}

// App is a program of commands: they write where the call says, and what is wrong with them is said as Run says it.
func (inv *Call) App(name string, all Commands) *cli.App {
	app := &cli.App{
		Name:            name,
		HelpName:        name,
		Writer:          inv.Stdout,
		ErrWriter:       inv.Stderr,
		Reader:          inv.Stdin,
		HideHelpCommand: true, // Arrange turns `help X` into `X --help`
		HideVersion:     true,
		// urfave/cli would end the process itself on some errors; finish alone decides the exit code.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   inv.onUsageError,
		Commands:       all(inv),
	}
	inv.prepare(app.Commands)
	return app
}

// prepare gives commands, and those below them, what all have.
func (inv *Call) prepare(level []*cli.Command) {
	for _, c := range level {
		c.HideHelpCommand, c.OnUsageError = true, inv.onUsageError
		inv.prepare(c.Subcommands)
	}
}

// onUsageError takes the place of urfave/cli's own report, which goes to stdout. All it can find after Arrange is a
// value of the wrong type: `invalid value "x" for flag -backends: parse error`.
func (inv *Call) onUsageError(c *cli.Context, err error, _ bool) error {
	var value, flag string
	if n, _ := fmt.Sscanf(err.Error(), "invalid value %q for flag -%s", &value, &flag); n == 2 {
		want := "a number"
		flag = strings.TrimSuffix(flag, ":")
		if f, _ := FlagNamed(c.Command, flag); f != nil {
			if _, isDuration := f.(*cli.DurationFlag); isDuration {
				want = "a duration like 500ms, 3s or 2h"
			}
		}
		return inv.Usage(CommandName(c), "--%s %s: expected %s", flag, Quote(value), want)
	}
	return inv.Usage(CommandName(c), "%s", err)
}
