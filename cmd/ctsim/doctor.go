package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/rootless"
	"github.com/ctsim/ctsim/doctor"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/report"
)

func doctorCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "find out what this machine can do, by doing it, and how to fix what it cannot",
		ArgsUsage: "[CHECK…]",
		Description: "Makes everything a run would make, each in a network namespace of its own: links, rules, conntrack entries,\n" +
			"captures. For anything that fails it says what needs it and gives a command that fixes it. It leaves nothing\n" +
			"behind and does not touch the machine's own network. Without root it works in a user namespace, as a run does.\n\n" +
			"   ctsim doctor\n" +
			"   sudo ctsim doctor\n" +
			"   ctsim doctor iptables conntrack-events --output json\n\n" +
			"Exit codes: 0 runs work, 3 something that every run needs is missing, 4 it could not be found out; checks that\n" +
			"are named all count as needed.",
		Flags:  []cli.Flag{cmdline.OutputFlag("text", "json")},
		Action: inv.doctor,
	}
}

func (inv *invocation) doctor(c *cli.Context) error {
	format, err := inv.Choice(c, "output", "text", "json")
	if err != nil {
		return err
	}
	names := c.Args().Slice()
	for _, name := range names {
		if slices.Contains(doctor.Names(), name) {
			continue
		}
		if near := strictyaml.Nearest(name, doctor.Names()); near != "" {
			return cmdline.UsageHint(inv.Retyped(name, near), "unknown check %q", name)
		}
		return cmdline.UsageHint(inv.Program()+" doctor   # all checks", "unknown check %q", name)
	}
	// What forbids a user namespace is a finding like others.
	code, done, forbidden := rootless.Gain(c.Context, inv.Call, nil)
	if done {
		return cmdline.Ended(code)
	}
	r := doctor.Examine(c.Context, inv.machine(forbidden), names...)
	if i, ok := cmdline.Interrupted(c.Context); ok {
		return i
	}
	for i := range r.Findings {
		r.Findings[i].Needed = r.Findings[i].Needed || len(names) > 0
	}
	if err := inv.writeExamination(r, format); err != nil {
		return err
	}
	return cmdline.Ended(map[doctor.Status]int{doctor.OK: cmdline.ExitPass, doctor.Missing: cmdline.ExitUnsupported, doctor.Unknown: cmdline.ExitInconclusive}[r.Verdict()])
}

// machine is what is known of this process; forbidden is why it could not go into a user namespace, if it had to.
func (inv *invocation) machine(forbidden error) doctor.Machine {
	m := doctor.Machine{WithRoot: inv.WithRoot()}
	switch {
	case forbidden != nil:
		m.UserNamespace = func(context.Context) error { return forbidden }
	case !rootless.Is():
		m.Root, m.UserNamespace = true, inv.asNobody
	}
	return m
}

func (inv *invocation) writeExamination(r doctor.Report, format string) error {
	if format == "json" {
		return cmdline.JSON(inv.Stdout, struct {
			doctor.Report
			Verdict doctor.Status `json:"verdict"`
		}{r, r.Verdict()})
	}
	width := report.DefaultWidth
	if columns, ok := cmdline.TerminalWidth(inv.Stdout); ok {
		width = max(40, columns)
	}
	return r.Text(inv.Stdout, width)
}

// nobodyID is the user without privileges that every Linux has.
const nobodyID = 65534

// asNobody lets root find out whether ordinary users may make a user namespace: the same check, made by one.
func (inv *invocation) asNobody(ctx context.Context) error {
	child := exec.CommandContext(ctx, "/proc/self/exe")
	child.Args = []string{inv.Args[0], "doctor", "user-namespaces", "--output", "json"}
	child.Dir = "/"
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	child.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID},
		Pdeathsig:  syscall.SIGKILL,
	}
	// PDEATHSIG follows the thread, which must not be one that ends with somebody else's goroutine.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := child.Run()
	var r doctor.Report
	if json.Unmarshal(stdout.Bytes(), &r) != nil || len(r.Findings) != 1 {
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			return doctor.NotAsked("a ctsim that the user nobody may execute", err)
		}
		return fmt.Errorf("as the user nobody: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if f := r.Findings[0]; f.Status != doctor.OK {
		return errors.New(f.Error)
	}
	return nil
}
