package replay

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/topology"
)

func (r *run) setSysctl(_ context.Context, s *scenario.SetSysctl, _ []*flow) error {
	return r.lab.Namespace(s.In).SetSysctl(s.Key, s.Value)
}

func (r *run) exec(ctx context.Context, s *scenario.Exec, _ []*flow) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	out, err := output(ctx, r.lab.Namespace(s.In), s.Command)
	text := strings.TrimSpace(string(out))
	if err != nil {
		text = strings.TrimSpace(text + " (" + err.Error() + ")")
	}
	r.note(s.In, "exec", text)
	return errors.Join(r.relearn(s.In), r.drain()) // it may have been iptables
}

// output runs a command inside a namespace; it ends with ctx and with ctsim.
func output(ctx context.Context, ns *topology.Namespace, command []string) (out []byte, err error) {
	err = ns.Do(func() (err error) {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		cmd.WaitDelay = 10 * time.Second // a program that is being started meanwhile has a copy of the pipe
		out, err = cmd.CombinedOutput()
		return err
	})
	return out, err
}
