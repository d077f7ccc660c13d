package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// invocation is one call of the command line: what was typed, and where it reads and writes.
type invocation struct {
	// args are as typed, the program first.
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// commands are all commands, in the order of the help. A new one is a file and a line here.
var commands = []func(*invocation) *cli.Command{
	runCommand,
	listCommand,
	showCommand,
	scriptCommand,
	validateCommand,
	schemaCommand,
	tryCommand,
	clientCommand,
	serverCommand,
	labCommand,
	doctorCommand,
	auditCommand,
	cleanCommand,
	versionCommand,
	completionCommand,
	manCommand,
	completeCommand,
}

// run is the whole command line as a function: it reads and writes nothing but what it is given, starts no goroutine
// that outlives it but one that waits for a line of stdin, and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	inv := &invocation{args: args, stdin: stdin, stdout: stdout, stderr: stderr}
	if len(inv.args) == 0 {
		inv.args = []string{"ctsim"}
	}
	app := inv.app()
	arranged, err := inv.arrange(app.Commands)
	if err == nil {
		err = app.RunContext(ctx, arranged)
	}
	return inv.finish(err)
}

func (inv *invocation) app() *cli.App {
	app := &cli.App{
		Name:     "ctsim",
		HelpName: "ctsim",
		Usage:    "show what losing a conntrack entry does to a TCP connection through a Kubernetes Service",
		Description: "ctsim builds a small cluster's network from namespaces, with kube-proxy's own rules, breaks the node's\n" +
			"conntrack entry under an open connection, and shows with evidence what happens and why. It touches nothing\n" +
			"outside those namespaces and leaves nothing behind.\n\n" +
			"   sudo ctsim run flush-multi-backend      the case it was built for\n" +
			"   ctsim run flush-multi-backend           the same without root, in a user namespace\n" +
			"   ctsim list                              all cases\n" +
			"   ctsim help run                          help for one command\n\n" + exitCodes,
		Writer:          inv.stdout,
		ErrWriter:       inv.stderr,
		Reader:          inv.stdin,
		HideHelpCommand: true, // arrange turns `help X` into `X --help`
		HideVersion:     true,
		// urfave/cli would end the process itself on some errors; finish alone decides the exit code.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   inv.onUsageError,
	}
	for _, command := range commands {
		c := command(inv)
		c.HideHelpCommand = true
		c.OnUsageError = inv.onUsageError
		app.Commands = append(app.Commands, c)
	}
	return app
}

// onUsageError takes the place of urfave/cli's own report, which goes to stdout. All it can find after arrange is a
// value of the wrong type: `invalid value "x" for flag -backends: parse error`.
func (inv *invocation) onUsageError(c *cli.Context, err error, _ bool) error {
	var value, flag string
	if n, _ := fmt.Sscanf(err.Error(), "invalid value %q for flag -%s", &value, &flag); n == 2 {
		flag = strings.TrimSuffix(flag, ":")
		want := "a number"
		if f, _ := flagNamed(c.Command, flag); f != nil {
			if _, isDuration := f.(*cli.DurationFlag); isDuration {
				want = "a duration like 500ms, 3s or 2h"
			}
		}
		return inv.usage(commandName(c), "--%s %s: expected %s", flag, quote(value), want)
	}
	return inv.usage(commandName(c), "%s", err)
}
