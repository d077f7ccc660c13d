package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/scenario/result"
)

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, article()); err != nil {
		t.Fatal(err)
	}
	golden(t, "article.json", b.String())
	var back result.Result
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(article(), &back); diff != "" {
		t.Errorf("the document does not hold the result (-want +got):\n%s", diff)
	}
}

// TestJSONHasNoNull: a list or table of a run that ended early is empty, not null.
func TestJSONHasNoNull(t *testing.T) {
	r := &result.Result{Connections: []account.Connection{{ID: 1}}}
	var b bytes.Buffer
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("null in %s", &b)
	}
	if r.Timeline != nil || r.Connections[0].Backends != nil {
		t.Error("the caller's result was changed")
	}
}

func TestJSONRuns(t *testing.T) {
	var b bytes.Buffer
	missing := FailureOf("other", fmt.Errorf("start: %w", &build.Unsupported{What: "no iptables", Hint: "sudo apt-get install iptables"}))
	if err := JSONRuns(&b, []*result.Result{article()}, []Failure{missing}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema   int
		Runs     []result.Result
		Failures []Failure
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := Failure{"other", "start: no iptables", "sudo apt-get install iptables"}
	if got.Schema != result.SchemaVersion || len(got.Runs) != 1 || len(got.Failures) != 1 || got.Failures[0] != want {
		t.Errorf("got %+v", got)
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	l := NewLines(&b)
	r := article()
	for _, o := range r.Timeline {
		if err := l.Observation(r.Scenario, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Result(r), l.Failure(Failure{"other", "no iptables", ""})); err != nil {
		t.Fatal(err)
	}
	golden(t, "article.jsonl", b.String())
}

// TestLinesSideBySide: lines of scenarios that run at the same time do not mix.
func TestLinesSideBySide(t *testing.T) {
	var b bytes.Buffer
	l := NewLines(&b)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				_ = l.Observation(fmt.Sprint("scenario-", i), article().Timeline[0])
			}
		})
	}
	group.Wait()
	n := 0
	for line := range strings.Lines(b.String()) {
		n++
		if !json.Valid([]byte(line)) {
			t.Fatalf("not JSON: %s", line)
		}
	}
	if n != 8*50 {
		t.Errorf("%d lines, want %d", n, 8*50)
	}
}
