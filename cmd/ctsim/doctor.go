package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/doctor"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/report"
)

func doctorCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "find out what this machine can do, by doing it, and how to mend what it cannot",
		ArgsUsage: "[CHECK…]",
		Description: "Makes all that a run would make, each in a network namespace of its own: links, rules, conntrack entries,\n" +
			"captures. For what fails it says what it is needed for and gives a command that mends it. Nothing stays, and\n" +
			"nothing of the machine's own network is touched. Without root it works in a user namespace, as a run does.\n\n" +
			"   ctsim doctor\n" +
			"   sudo ctsim doctor\n" +
			"   ctsim doctor iptables conntrack-events --output json\n\n" +
			"Exit codes: 0 runs work, 3 something that every run needs is missing, 4 nobody knows; of checks that are\n" +
			"named, each counts as needed.",
		Flags:  []cli.Flag{outputFlag("text", "json")},
		Action: inv.doctor,
	}
}

func (inv *invocation) doctor(c *cli.Context) error {
	format, err := inv.choice(c, "output", "text", "json")
	if err != nil {
		return err
	}
	names := c.Args().Slice()
	for _, name := range names {
		if slices.Contains(doctor.Names(), name) {
			continue
		}
		if near := strictyaml.Nearest(name, doctor.Names()); near != "" {
			return usageHint(inv.retyped(name, near), "unknown check %q", name)
		}
		return usageHint(inv.program()+" doctor   # all checks", "unknown check %q", name)
	}
	// What forbids a user namespace is a finding like others.
	code, done, forbidden := inv.gainRoot(c.Context, &library{})
	if done {
		return ended(code)
	}
	r := doctor.Examine(c.Context, inv.machine(forbidden), names...)
	if i, ok := interrupted(c.Context); ok {
		return i
	}
	for i := range r.Findings {
		r.Findings[i].Needed = r.Findings[i].Needed || len(names) > 0
	}
	if err := inv.writeExamination(r, format); err != nil {
		return err
	}
	return ended(map[doctor.Status]int{doctor.OK: exitPass, doctor.Missing: exitUnsupported, doctor.Unknown: exitInconclusive}[r.Verdict()])
}

// ended is how a command ends that has said all there is to say.
func ended(code int) error {
	if code == exitPass {
		return nil
	}
	return &exit{code: code}
}

// machine is what is known of this process; forbidden is why it could not go into a user namespace, if it had to.
func (inv *invocation) machine(forbidden error) doctor.Machine {
	m := doctor.Machine{WithRoot: inv.withRoot()}
	switch {
	case forbidden != nil:
		m.UserNamespace = func(context.Context) error { return forbidden }
	case os.Getenv(rootlessMark) != "1":
		m.Root, m.UserNamespace = true, inv.asNobody
	}
	return m
}

func (inv *invocation) writeExamination(r doctor.Report, format string) error {
	if format == "json" {
		e := json.NewEncoder(inv.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			doctor.Report
			Verdict doctor.Status `json:"verdict"`
		}{r, r.Verdict()})
	}
	width := report.DefaultWidth
	if columns, ok := terminalWidth(inv.stdout); ok {
		width = max(40, columns)
	}
	return r.Text(inv.stdout, width)
}

// nobodyID is the user without privileges that every Linux has.
const nobodyID = 65534

// asNobody lets root find out whether ordinary users may make a user namespace: the same check, made by one.
func (inv *invocation) asNobody(ctx context.Context) error {
	child := exec.CommandContext(ctx, "/proc/self/exe")
	child.Args = []string{inv.args[0], "doctor", "user-namespaces", "--output", "json"}
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
