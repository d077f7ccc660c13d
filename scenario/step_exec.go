package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/internal/printable"
)

// SetSysctl sets a sysctl of one pod or node.
type SetSysctl struct {
	In    string `yaml:"in,required" doc:"The pod or node."`
	Key   string `yaml:"key,required" doc:"The sysctl, net.… with dots."`
	Value string `yaml:"value,required" scalar:"yes" doc:"Its value."`
}

func (s *SetSysctl) describe() string { return fmt.Sprintf("set %s=%s in %s", s.Key, s.Value, s.In) }
func (s *SetSysctl) check(sc Scenario) string {
	if wrong := wrongSysctl(s.Key); wrong != "" {
		return s.Key + " " + wrong
	}
	return wrongPlace(sc, s.In)
}

func wrongPlace(sc Scenario, name string) string {
	if !slices.Contains(sc.places()[3:], name) { // the first three are groups
		return fmt.Sprintf("%q is no pod or node of this world", name)
	}
	return ""
}

// Exec runs a command in a pod or node and notes what it printed and how it ended. One that fails makes the verdict fail,
// unless it may, or expect.exec says how it ends.
type Exec struct {
	Name    string        `yaml:"name" pattern:"^[a-z0-9]+(-[a-z0-9]+)*$" doc:"What expect.exec calls it: lower case words joined by hyphens."`
	In      string        `yaml:"in,required" doc:"The pod or node."`
	Command []string      `yaml:"command,required" text:"data" doc:"The program and its arguments; no shell."`
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"10m" default:"10s" doc:"It is killed after this."`
	MayFail bool          `yaml:"may_fail" doc:"However it ends, and even if it is not there, the verdict is not about it."`
}

func (s *Exec) describe() string { return "run in " + s.In + ": " + s.words() }

// words is the command as it is shown: on one line, whatever it holds.
func (s *Exec) words() string { return printable.Line(strings.Join(s.Command, " ")) }

func (s *Exec) check(sc Scenario) string {
	if len(s.Command) == 0 {
		return "the command is empty"
	}
	if wrong := sc.sameName(s); wrong != "" {
		return wrong
	}
	return wrongPlace(sc, s.In)
}
