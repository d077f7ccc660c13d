package recorded

import (
	"embed"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/ctsim/ctsim/evidence"
)

//go:embed runs/*.json
var runs embed.FS

// Names are the scenarios whose evidence, from a real run, is kept. Together they show everything that an expectation
// can speak of.
var Names = []string{"flush-multi-backend", "flush-single-backend", "server-speaks-first", "loose-off",
	"scale-to-zero", "keepalive-too-slow", "pod-ip-reuse", "invalid-out-of-window", "invalid-not-dropped", "errno-syn-sent",
	"half-open-server"}

// Of is the evidence of a scenario's recorded run, a copy of its own at each call.
func Of(t testing.TB, name string) *evidence.Evidence {
	t.Helper()
	text, err := runs.ReadFile("runs/" + name + ".json")
	if err != nil {
		t.Fatalf("%v; record it with: sudo go test ./scenario/replay -run TestKernelRecord -record", err)
	}
	e, err := Decode(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

// Encode is evidence as it is kept.
func Encode(e *evidence.Evidence) ([]byte, error) {
	text, err := json.MarshalIndent(record(reflect.ValueOf(e).Elem()), "", " ")
	return append(text, '\n'), err
}

// Decode is the inverse of Encode.
func Decode(text []byte) (*evidence.Evidence, error) {
	var e evidence.Evidence
	if err := replay(text, reflect.ValueOf(&e).Elem()); err != nil {
		return nil, fmt.Errorf("recorded evidence: %w", err)
	}
	return &e, nil
}
