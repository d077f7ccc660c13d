package scenario

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// recorded names the scenarios whose evidence, from a real run, is kept in testdata/evidence. Together they show
// everything that an expectation can speak of.
var recorded = []string{"flush-multi-backend", "flush-single-backend", "server-speaks-first", "loose-off",
	"scale-to-zero", "keepalive-too-slow", "pod-ip-reuse", "invalid-out-of-window"}

// evidenceOf replays a recording: no test that uses it needs a kernel. Each call gives a copy of its own.
func evidenceOf(t testing.TB, name string) *evidence {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/evidence", name+".json"))
	if err != nil {
		t.Fatalf("%v; record it with: sudo go test ./scenario -run TestKernelRecord -record", err)
	}
	var e evidence
	if err := replay(text, reflect.ValueOf(&e).Elem()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return &e
}

// The recorded runs pass, with the library's expectations of today.
func TestRecordedEvidencePasses(t *testing.T) {
	for _, name := range recorded {
		if r := find(t, name).assemble(evidenceOf(t, name)); r.Verdict != Pass {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Reason)
		}
	}
}

// The cause is told from what was observed, sentence by sentence.
func TestCause(t *testing.T) {
	for _, name := range recorded {
		t.Run(name, func(t *testing.T) {
			r := find(t, name).assemble(evidenceOf(t, name))
			golden(t, "cause/"+name+".txt", r.Reason+"\n"+strings.Join(r.Cause, "\n")+"\n")
		})
	}
}
