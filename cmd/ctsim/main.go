// Command ctsim shows, on one machine and without a Kubernetes cluster, what losing a conntrack entry does to a TCP
// connection through a Service.
package main

import (
	"context"
	"os"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/guest"
)

func main() { os.Exit(mainCode()) }

// mainCode is main with its deferred calls done before the process exits.
func mainCode() int {
	if guest.InGuest() {
		guest.Init()
	}
	ctx, stop := cmdline.WithSignals(context.Background())
	defer stop()
	return run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
}
