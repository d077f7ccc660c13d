package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Flush empties the conntrack table of one node or of both.
type Flush struct {
	On string `yaml:"on" short:"yes" pattern:"^(all|master|node[1-4])$" default:"all" doc:"Whose table: master is the client's node, the one that translates."`
}

func (s *Flush) describe() string {
	if s.On == "all" {
		return "flush the conntrack table of every node"
	}
	return "flush the conntrack table of " + s.On
}

func (s *Flush) check(sc Scenario) string {
	if s.On == "all" {
		return ""
	}
	return wrongNode(sc, s.On)
}

// wrongNode says that there is no node of that name; empty if there is.
func wrongNode(sc Scenario, name string) string {
	if slices.Contains(sc.nodeNames(), name) {
		return ""
	}
	return fmt.Sprintf("%q is no node of this world, want one of %s", name, strings.Join(sc.nodeNames(), ", "))
}

// Wait lets real time pass, or waits until the entries of the connections are gone from the translating node.
type Wait struct {
	For    time.Duration `yaml:"for" short:"yes" min:"1ms" max:"1000h" doc:"How long; at most one hour of this run's own time, after time_scale."`
	Until  string        `yaml:"until" enum:"entry-gone,client-closed,server-closed" doc:"A fact to wait for: the conntrack entry has expired; the client's or the server's socket is closed by the kernel."`
	Packet *PacketCheck  `yaml:"packet" doc:"A packet to wait for, on every connection."`
	AtMost time.Duration `yaml:"at_most" min:"1s" max:"1h" default:"10m" doc:"With until or packet: give up after this."`
}

func (s *Wait) describe() string {
	if s.Packet != nil {
		return "wait for a packet: " + s.Packet.Describe()
	}
	switch s.Until {
	case "entry-gone":
		return "wait until the conntrack entry on " + NodeMaster + " has expired"
	case "":
		return "wait " + s.For.String()
	}
	return "wait until the " + strings.TrimSuffix(s.Until, "-closed") + "'s socket is closed by the kernel"
}

func (s *Wait) check(sc Scenario) string {
	switch {
	case btoi(s.For != 0)+btoi(s.Until != "")+btoi(s.Packet != nil) != 1:
		return "want one of a duration, until and packet"
	case s.Packet != nil && s.Packet.Never:
		return "never cannot be waited for"
	case sc.here(s.For, time.Microsecond) > time.Hour:
		return fmt.Sprintf("%s is too long to wait; use age, or a larger time_scale", s.For)
	}
	if least, name := sc.shortest(); s.Until == "entry-gone" && s.AtMost < least {
		return fmt.Sprintf("the entry lives %s (%s) or longer, which is longer than at_most %s", seconds(least), name, s.AtMost)
	}
	return ""
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Repeat does its steps again and again: a number of times, or until a fact holds for every connection. A
// connection for which it holds is left out of the following rounds.
type Repeat struct {
	Until  string `yaml:"until" enum:"rerouted" doc:"A fact: rerouted, the connection's entry leads to another backend than its first."`
	Times  int    `yaml:"times" min:"1" max:"1000" doc:"How often."`
	AtMost int    `yaml:"at_most" min:"1" max:"1000" default:"64" doc:"With until: give up after this many rounds."`
	Steps  Steps  `yaml:"steps,required" doc:"What to repeat."`
}

func (s *Repeat) describe() string {
	if s.Until != "" {
		return "repeat until the flow is re-routed to another backend"
	}
	return fmt.Sprintf("repeat %d times", s.Times)
}

func (s *Repeat) check(sc Scenario) string {
	switch {
	case (s.Times == 0) == (s.Until == ""):
		return "want either times or until"
	case len(s.Steps) == 0:
		return "nothing to repeat"
	case s.Until == "rerouted" && sc.World.Backends == 1:
		return "one backend can never become another: a flow cannot be re-routed; want 2 backends or more"
	}
	return ""
}

// Rounds is how often it is repeated at most.
func (s *Repeat) Rounds() int {
	if s.Until != "" {
		return max(s.AtMost, 1)
	}
	return s.Times
}
