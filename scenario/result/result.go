// Package result is the one value that every report of a run is made of, and how it comes from a plan and evidence: the
// verdict, the accounts, the observations in one order. It is pure.
package result

import (
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// SchemaVersion is the version of the JSON form of Result; it grows when a field changes its meaning or goes.
const SchemaVersion = 1

// Result is one run of a scenario, complete: text, JSON and every other report are made from it alone.
type Result struct {
	Schema   int             `json:"schema"`
	Scenario string          `json:"scenario"`
	Title    string          `json:"title"`
	Verdict  verdict.Verdict `json:"verdict"`
	// Trial is true if the run was to show what becomes of a program's own connection (ctsim try): its result is the outcome
	// then, and the verdict tells the exit code alone.
	Trial bool `json:"trial,omitempty"`
	// Reason is one sentence: why the verdict is what it is.
	Reason string `json:"reason"`
	// Happened is one sentence too: what became of the connections, whatever was expected.
	Happened string `json:"happened"`
	// Cause tells what happened, one checkable sentence each, in order, each from observations of this run.
	Cause []string `json:"cause"`
	// Account is the same with each sentence's time and the observations it rests on; Cause is made from it.
	Account []account.Sentence `json:"account"`
	Cure    string             `json:"cure,omitempty"`
	// Kernel is the release, `uname -r`.
	Kernel string `json:"kernel"`
	// Rootless is true if the run was made in a user namespace.
	Rootless  bool      `json:"rootless"`
	Started   time.Time `json:"started"`
	DurationS float64   `json:"duration_s"`
	// TimeScale is what the durations of the scenario were divided by; 0 if they are the run's own.
	TimeScale int     `json:"time_scale,omitempty"`
	Service   Service `json:"service"`
	// Connections are in the order they were opened.
	Connections []account.Connection `json:"connections"`
	// Summary counts "connections" and each outcome, the ones that did not occur as 0.
	Summary      map[string]int  `json:"summary"`
	Expectations []verdict.Check `json:"expectations"`
	// World is the pods, nodes and machines of the run, the client's side first.
	World []evidence.Place `json:"world"`
	// Example is the ID of the connection that stands for all: the one that Cause and Entries tell of; 0 if there is none.
	Example int `json:"example,omitempty"`
	// Entries are the lives of the example's conntrack entries, on every node, in the order of their beginnings.
	Entries []account.Entry `json:"entries"`
	// Rules are those that packets met in the run, as their counters say, node by node in the order of iptables-save.
	Rules    []account.RuleCount    `json:"rules"`
	Timeline []evidence.Observation `json:"timeline"`
	// Lost counts what watchers could not deliver, by source; 0 means that nothing is missing.
	Lost map[string]int `json:"lost"`
	// Missing names what this machine or user could not observe, one line each.
	Missing []string `json:"missing,omitempty"`
	// Interrupted is true if the run was ended before its last step.
	Interrupted bool `json:"interrupted,omitempty"`
	// Programs are those that ctsim has not written, the client first.
	Programs []ProgramRun     `json:"programs,omitempty"`
	Phases   []evidence.Phase `json:"phases"`
	// Capture is what a capture file is made of.
	Capture Capture `json:"-"`
	// Saved are the rules of each node as iptables-save -c printed them.
	Saved []evidence.SavedRules `json:"-"`
}

// Capture is every packet of the run, in the order of time, and the places where they were seen.
type Capture struct {
	Hops    []packet.Hop
	Packets []packet.Packet
	// Comments tell, for the packets that matter, why they do; by the packet's place in Packets.
	Comments map[int]string
}

// Service is the virtual address of the run with its endpoints at the start.
type Service struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Port     int      `json:"port"`
	Protocol string   `json:"protocol"`
	Backends []string `json:"backends"`
}

// ProgramRun is a program that ctsim has not written, and how it ended.
type ProgramRun struct {
	// Side is client or server.
	Side    string `json:"side"`
	At      string `json:"at"`
	Command string `json:"command"`
	// ExitCode is nil if it ran until ctsim ended it.
	ExitCode *int `json:"exit_code"`
	// Ended is how, in words; EndedAt when, in seconds since the start of the run.
	Ended   string  `json:"ended"`
	EndedAt float64 `json:"ended_at"`
}
