package report

import (
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
)

// Failure is a scenario that could not be run, which is not a verdict.
type Failure struct {
	Scenario string `json:"scenario"`
	Error    string `json:"error"`
	Hint     string `json:"hint,omitempty"`
}

// FailureOf is the Failure that err means for a scenario.
func FailureOf(name string, err error) Failure {
	f := Failure{Scenario: name, Error: err.Error()}
	var hinted interface {
		error
		WayOut() string
	}
	if errors.As(err, &hinted) {
		f.Hint = hinted.WayOut()
	}
	return f
}

// JSON writes one result as one document.
func JSON(w io.Writer, r *result.Result) error { return encoder(w, "  ").Encode(complete(r)) }

// JSONRuns writes the results of several scenarios as one document, {"schema", "runs": […]}; scenarios that could not be
// run stand in "failures", which is left out if there are none.
func JSONRuns(w io.Writer, results []*result.Result, failures []Failure) error {
	document := struct {
		Schema   int              `json:"schema"`
		Runs     []*result.Result `json:"runs"`
		Failures []Failure        `json:"failures,omitempty"`
	}{Schema: result.SchemaVersion, Runs: []*result.Result{}, Failures: failures}
	for _, r := range results {
		document.Runs = append(document.Runs, complete(r))
	}
	return encoder(w, "  ").Encode(document)
}

// Lines writes JSON lines: each observation when it is made, each result without its timeline when its run has ended.
// Every line has a "type" and the name of its scenario, so the lines of runs side by side may stand in any order.
// Its methods may be called at the same time.
type Lines struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

// NewLines writes to w, one write a line.
func NewLines(w io.Writer) *Lines { return &Lines{encoder: encoder(w, "")} }

// Observation writes {"type":"observation","scenario":…, and the fields of the observation}.
func (l *Lines) Observation(name string, o evidence.Observation) error {
	return l.write(struct {
		Type     string `json:"type"`
		Scenario string `json:"scenario"`
		evidence.Observation
	}{"observation", name, o})
}

// Result writes {"type":"result", and the fields of the result but "timeline"}.
func (l *Lines) Result(r *result.Result) error {
	return l.write(struct {
		Type string `json:"type"`
		*result.Result
		// Timeline hides the result's own: its observations have been written.
		Timeline []evidence.Observation `json:"timeline,omitempty"`
	}{Type: "result", Result: complete(r)})
}

// Failure writes {"type":"failure","scenario":…,"error":…,"hint":…}.
func (l *Lines) Failure(f Failure) error {
	return l.write(struct {
		Type string `json:"type"`
		Failure
	}{"failure", f})
}

func (l *Lines) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.encoder.Encode(v)
}

func encoder(w io.Writer, indent string) *json.Encoder {
	e := json.NewEncoder(printable.JSON(w))
	e.SetEscapeHTML(false) // "->" is easier to read than its escape, and nothing here is HTML
	e.SetIndent("", indent)
	return e
}

// complete is r with [] and {} where a run that ended early left nil: readers of the document need not ask for null.
func complete(r *result.Result) *result.Result {
	c := *r
	c.Cause, c.Account = list(c.Cause), list(c.Account)
	c.Connections = append([]account.Connection{}, c.Connections...)
	for i := range c.Connections {
		c.Connections[i].Backends = list(c.Connections[i].Backends)
		c.Connections[i].Balance = list(c.Connections[i].Balance)
	}
	c.Service.Backends = list(c.Service.Backends)
	c.Expectations = list(c.Expectations)
	c.World = list(c.World)
	c.Entries = list(c.Entries)
	c.Rules = list(c.Rules)
	c.Timeline = list(c.Timeline)
	c.Phases = list(c.Phases)
	c.Summary = table(c.Summary)
	c.Lost = table(c.Lost)
	return &c
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func table(m map[string]int) map[string]int {
	if m == nil {
		return map[string]int{}
	}
	return m
}
