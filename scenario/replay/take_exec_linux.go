package replay

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/topology"
)

func (r *run) setSysctl(_ context.Context, s *scenario.SetSysctl, _ []*flow) error {
	return r.lab.Namespace(s.In).SetSysctl(s.Key, s.Value)
}

func (r *run) exec(ctx context.Context, s *scenario.Exec, _ []*flow) error {
	x := &evidence.Execution{Number: 1 + slices.Index(r.plan.Execs(), s), Name: s.Name, Command: s.Command}
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	err := execute(limited, r.lab.Namespace(s.In), x)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := strings.TrimSpace(x.Output)
	switch {
	case err != nil && !s.MayFail:
		return &build.Unsupported{What: fmt.Sprintf("the command %q cannot be run", s.Command[0]),
			Hint: "install it, or let the step say may_fail: true", Err: err}
	case err != nil:
		x.Exit = 127 // as a shell has it
		text = err.Error()
	case limited.Err() != nil:
		text = strings.TrimSpace(fmt.Sprintf("%s (%s, it was killed after %s)", text, x.End(), s.Timeout))
	case x.Exit != 0:
		text = strings.TrimSpace(fmt.Sprintf("%s (%s)", text, x.End()))
	}
	r.deed(evidence.Deed{Time: time.Now(), At: s.In, Kind: "exec", Text: text, Exec: x})
	return errors.Join(r.relearn(s.In), r.drain()) // it may have been iptables
}

// execute runs a command inside a namespace and notes how it ended; it ends with ctx and with ctsim. The error is that
// it could not be started.
func execute(ctx context.Context, ns *topology.Namespace, x *evidence.Execution) error {
	return ns.Do(func() error {
		var out bounded
		cmd := exec.CommandContext(ctx, x.Command[0], x.Command[1:]...)
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		cmd.WaitDelay = 10 * time.Second // a program that is being started meanwhile has a copy of the pipe
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			return err
		}
		_ = cmd.Wait() // how it ended is in its state; what it has left running in the background holds nothing up
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		x.Exit = status.ExitStatus()
		if status.Signaled() {
			x.Exit, x.Signal = 128+int(status.Signal()), unix.SignalName(status.Signal())
		}
		x.Output, x.Cut = strings.ToValidUTF8(string(out.kept), "\uFFFD"), out.cut
		return nil
	})
}

// bounded keeps the beginning of what is written, and takes the rest.
type bounded struct {
	kept []byte
	cut  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := min(evidence.MaxOutput-len(b.kept), len(p))
	b.kept = append(b.kept, p[:room]...)
	b.cut = b.cut || room < len(p)
	return len(p), nil
}
