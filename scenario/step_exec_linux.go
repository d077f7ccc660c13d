package scenario

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// sysctlStep sets a sysctl of one pod or node.
type sysctlStep struct {
	In    string `yaml:"in,required" doc:"The pod or node."`
	Key   string `yaml:"key,required" doc:"The sysctl, net.… with dots."`
	Value string `yaml:"value,required" scalar:"yes" doc:"Its value."`
}

func (s *sysctlStep) describe() string { return fmt.Sprintf("set %s=%s in %s", s.Key, s.Value, s.In) }
func (s *sysctlStep) check(sc Scenario) string {
	if wrong := wrongSysctl(s.Key); wrong != "" {
		return s.Key + " " + wrong
	}
	return wrongPlace(sc, s.In)
}

func (s *sysctlStep) run(_ context.Context, r *run, _ []*flow) error {
	return r.lab.Namespace(s.In).SetSysctl(s.Key, r.scenario.scaledSysctl(s.Key, s.Value))
}

func wrongPlace(sc Scenario, name string) string {
	if !slices.Contains(sc.places()[3:], name) { // the first three are groups
		return fmt.Sprintf("%q is no pod or node of this world", name)
	}
	return ""
}

// execStep runs a command in a pod or node and notes what it printed and how it ended.
type execStep struct {
	In      string        `yaml:"in,required" doc:"The pod or node."`
	Command []string      `yaml:"command,required" doc:"The program and its arguments; no shell."`
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"10m" default:"10s" doc:"It is killed after this."`
}

func (s *execStep) describe() string { return "run in " + s.In + ": " + strings.Join(s.Command, " ") }
func (s *execStep) check(sc Scenario) string {
	if len(s.Command) == 0 {
		return "the command is empty"
	}
	return wrongPlace(sc, s.In)
}

func (s *execStep) run(ctx context.Context, r *run, _ []*flow) error {
	limit := s.Timeout
	if limit == 0 {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
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
		cmd.WaitDelay = time.Second
		out, err = cmd.CombinedOutput()
		return err
	})
	return out, err
}
