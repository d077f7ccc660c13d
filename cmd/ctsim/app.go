package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/labs"
	"github.com/ctsim/ctsim/cmd/ctsim/talk"
)

// invocation is a call of the command line with what the commands of this folder make of it.
type invocation struct{ *cmdline.Call }

// commands are all commands, in the order of the help. A new one is a file and a line here.
func commands(call *cmdline.Call) []*cli.Command {
	inv := &invocation{call}
	return []*cli.Command{
		runCommand(inv),
		listCommand(inv),
		showCommand(inv),
		scriptCommand(inv),
		validateCommand(inv),
		schemaCommand(inv),
		tryCommand(inv),
		talk.ClientCommand(call),
		talk.ServerCommand(call),
		labs.Command(call),
		doctorCommand(inv),
		auditCommand(inv),
		labs.CleanCommand(call),
		versionCommand(inv),
		completionCommand(inv),
		manCommand(inv),
		completeCommand(inv),
	}
}

// run is the whole command line as a function: it reads and writes nothing but what it is given, and returns the exit
// code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	call := cmdline.NewCall(args, stdin, stdout, stderr)
	return call.Run(ctx, newApp(call))
}

// exitCodes is the part of the help that names them.
const exitCodes = `Exit codes: 0 as expected, 1 not as expected, 2 wrong usage or a bad scenario file, 3 this machine cannot
run it, 4 inconclusive; of several scenarios the code is the first of 1, 3, 4 that any of them has. Ended by
SIGINT or SIGTERM: 130 or 143, after a partial report. With run --kernel 125 stands for 3 and 4, and for a kernel
that does not boot.`

func newApp(call *cmdline.Call) *cli.App {
	app := call.App("ctsim", commands)
	app.Usage = "show what losing a conntrack entry does to a TCP connection through a Kubernetes Service"
	app.Description = "ctsim builds a small cluster's network from namespaces, with kube-proxy's own rules, breaks the node's\n" +
		"conntrack entry under an open connection, and shows with evidence what happens and why. It touches nothing\n" +
		"outside those namespaces and leaves nothing behind.\n\n" +
		"   sudo ctsim run flush-multi-backend      the case it was built for\n" +
		"   ctsim run flush-multi-backend           the same without root, in a user namespace\n" +
		"   ctsim list                              all cases\n" +
		"   ctsim help run                          help for one command\n\n" + exitCodes
	return app
}
