package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/doctor"
	"github.com/ctsim/ctsim/guest"
)

// hostOnly are the flags of `run` that a guest cannot do: nobody is at its terminal, and its files end with it.
var hostOnly = []string{"step", "report", "pcap"}

// checkKernel refuses what cannot be together with --kernel.
func (inv *invocation) checkKernel(c *cli.Context) error {
	if err := inv.NotEmpty(c, "kernel"); err != nil || !c.IsSet("kernel") {
		return err
	}
	for _, name := range hostOnly {
		if c.IsSet(name) {
			return inv.Usage("run", "--%s is not for --kernel; the result comes back with --output json", name)
		}
	}
	return nil
}

// runInGuest is `run` on another kernel, which gives the exit codes that `git bisect run` wants.
func (inv *invocation) runInGuest(c *cli.Context, l *library.Library) (int, error) {
	ctx := c.Context
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	what := c.String("kernel")
	kernel, err := guest.Find(ctx, what, filepath.Join(cache, "ctsim/kernels"))
	if err != nil {
		return inv.cannotBoot(ctx, err)
	}
	fmt.Fprintf(inv.Stderr, "booting Linux %s\n", kernel.Release)
	code, err := guest.Run(ctx, guest.Job{Kernel: kernel, Program: self, Args: inv.guestArgs(c), Modules: doctor.Modules(),
		Inputs: map[string][]byte{scenarioFile: l.Data()}, Stdout: inv.Stdout, Stderr: inv.Stderr})
	if err != nil {
		return inv.cannotBoot(ctx, err)
	}
	switch code {
	case cmdline.ExitUnsupported, cmdline.ExitInconclusive:
		code = cmdline.ExitSkip
	}
	return code, nil
}

// cannotBoot tells why, with the end of what the kernel said, and gives the code that lets a bisection pass over it.
func (inv *invocation) cannotBoot(ctx context.Context, err error) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	hint := ""
	if dead := (*guest.CannotBoot)(nil); errors.As(err, &dead) && dead.Console != "" {
		lines := strings.Split(strings.TrimSpace(dead.Console), "\n")
		hint = "the kernel's last words:\n" + strings.Join(lines[max(0, len(lines)-12):], "\n")
	}
	inv.Complain(err.Error(), hint)
	return cmdline.ExitSkip, nil
}

// scenarioFile is what the library is called in the guest.
const scenarioFile = "scenarios.yaml"

// guestArgs is the command line for the guest: as it was given here, but for where the scenarios are, one run at a time unless
// something else is said, and colour as this terminal has it.
func (inv *invocation) guestArgs(c *cli.Context) []string {
	args := []string{"run"}
	parallel := 1
	for _, flag := range c.Command.VisibleFlags() {
		name := flag.Names()[0]
		switch {
		case !c.IsSet(name) || name == "kernel" || name == "file" || name == "color":
		case name == "parallel":
			parallel = c.Int(name)
		default:
			args = append(args, fmt.Sprintf("--%s=%v", name, c.Value(name)))
		}
	}
	color := map[bool]string{true: "always", false: "never"}[inv.Coloured(c.String("color"))]
	args = append(args, fmt.Sprintf("--parallel=%d", parallel), "--color="+color)
	if c.IsSet("file") {
		args = append(args, "--file="+guest.InputPath(scenarioFile))
	}
	return append(args, c.Args().Slice()...)
}
