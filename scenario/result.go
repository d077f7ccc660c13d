package scenario

import "time"

// SchemaVersion is the version of the JSON form of Result; it grows when a field changes its meaning or goes.
const SchemaVersion = 1

// Verdict tells whether what the scenario expects was seen.
type Verdict string

// The three answers. What could not be observed is Inconclusive, never Pass.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Outcome is what became of a connection.
type Outcome string

// The outcomes. HalfOpen is that of a peer left behind, all others are the connection's as a whole.
const (
	Survived     Outcome = "survived"
	Reset        Outcome = "reset"
	Hang         Outcome = "hang"
	Refused      Outcome = "refused"
	Timeout      Outcome = "timeout"
	WrongBackend Outcome = "wrong-backend"
	HalfOpen     Outcome = "half-open"
)

// Result is one run of a scenario, complete: text, JSON and every other report are made from it alone.
type Result struct {
	Schema   int     `json:"schema"`
	Scenario string  `json:"scenario"`
	Title    string  `json:"title"`
	Verdict  Verdict `json:"verdict"`
	// Reason is one sentence: why the verdict is what it is.
	Reason string `json:"reason"`
	// Cause tells what happened, one checkable sentence each, in order, each from observations of this run.
	Cause []string `json:"cause"`
	Cure  string   `json:"cure,omitempty"`
	// Kernel is the release, `uname -r`.
	Kernel string `json:"kernel"`
	// Rootless is true if the run was made in a user namespace.
	Rootless  bool      `json:"rootless"`
	Started   time.Time `json:"started"`
	DurationS float64   `json:"duration_s"`
	Service   Service   `json:"service"`
	// Connections are in the order they were opened.
	Connections []Connection `json:"connections"`
	// Summary counts "connections" and each outcome, the ones that did not occur as 0.
	Summary      map[string]int `json:"summary"`
	Expectations []Check        `json:"expectations"`
	Timeline     []Observation  `json:"timeline"`
	// Lost counts what watchers could not deliver, by source; 0 means that nothing is missing.
	Lost map[string]int `json:"lost"`
	// Missing names what this machine or user could not observe, one line each.
	Missing []string `json:"missing,omitempty"`
	// Interrupted is true if the run was ended before its last step.
	Interrupted bool    `json:"interrupted,omitempty"`
	Phases      []Phase `json:"phases"`
}

// Service is the virtual address of the run with its endpoints at the start.
type Service struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Port     int      `json:"port"`
	Protocol string   `json:"protocol"`
	Backends []string `json:"backends"`
}

// Connection is what became of one connection of the client.
type Connection struct {
	// ID counts from 1.
	ID int `json:"id"`
	// Local is the client's ip:port.
	Local   string  `json:"local"`
	Outcome Outcome `json:"outcome"`
	// Errno is the first error an application met, "ECONNRESET" for instance; empty if none did.
	Errno string `json:"errno"`
	// NoticedBy is the side that met it: "client", "server" or empty.
	NoticedBy string `json:"noticed_by"`
	// Backends are the pods the flow was translated to, in order, one for each time an entry was made.
	Backends []string `json:"backends"`
	// Breaks counts how often the flow's entry was destroyed while the connection was open.
	Breaks int `json:"breaks"`
	// Peer is HalfOpen if the other side still holds its socket established; empty otherwise.
	Peer Outcome `json:"peer,omitempty"`
}

// Check is one thing the scenario expects, and whether it was seen.
type Check struct {
	Text    string  `json:"text"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
}

// Observation is one timestamped fact from one source.
type Observation struct {
	// T is seconds since the start of the run.
	T float64 `json:"t"`
	// Source is step, client, server, conntrack, packet, rule, kernel or socket.
	Source string `json:"source"`
	// At is the pod or node where it was seen.
	At string `json:"at"`
	// Kind says what sort of fact of its source it is: NEW, DESTROY, send, accept, RST …
	Kind string `json:"kind"`
	Text string `json:"text"`
	// By tells who destroyed a conntrack entry, in words; empty for everything else.
	By string `json:"by,omitempty"`
	// Connection is the connection's ID; 0 if the fact belongs to none or to all.
	Connection int `json:"connection,omitempty"`
}

// Phase is a part of a run and how long it took, in seconds.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Progress tells a person what a run is waiting for.
type Progress struct {
	// Step counts from 1 to Steps; 0 while the world is built.
	Step, Steps int
	Text        string
	// Left is what is left of a wait; 0 if it is not known.
	Left time.Duration
}
