package result_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/internal/golden"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
)

// The report that a colleague gets, of the runs that show the most: complete and in order, with all sources in it.
func TestReport(t *testing.T) {
	for _, name := range []string{"flush-multi-backend", "server-speaks-first", "invalid-out-of-window", "loose-off", "keepalive-too-slow"} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := report.Text(&b, resulttest.OfRecorded(t, name), report.TextOptions{}); err != nil {
				t.Fatal(err)
			}
			got := masked(b.String())
			golden.Text(t, "report/"+name+".txt", got)
		})
	}
}

// masked takes out what differs from run to run and means nothing: times, ephemeral ports, in the order they appear.
func masked(text string) string {
	text = regexp.MustCompile(`([+~])\d+\.\d{6}`).ReplaceAllString(text, "${1}T")
	text = regexp.MustCompile(`took [0-9.]+ m?s`).ReplaceAllString(text, "took T")
	text = regexp.MustCompile(`(\w+) \(\d+\.\d\d/`).ReplaceAllString(text, "$1 (T/")
	ports := map[string]string{}
	return regexp.MustCompile(`\b[3-6]\d{4}\b`).ReplaceAllStringFunc(text, func(port string) string {
		if ports[port] == "" {
			ports[port] = fmt.Sprintf("PORT%d", len(ports)+1)
		}
		return ports[port]
	})
}

// words are the JSON names of what is said for people.
var words = []string{"text", "detail", "by", "cause", "reason", "happened", "title", "cure", "first", "last", "rule", "dropped_by",
	"comment", "error", "timer", "data", "missing"}

// wordless is a document in which every text is x.
func wordless(v any, is bool) any {
	switch v := v.(type) {
	case string:
		if is && v != "" {
			return "x"
		}
	case []any:
		for i := range v {
			v[i] = wordless(v[i], is)
		}
	case map[string]any:
		for key := range v {
			v[key] = wordless(v[key], slices.Contains(words, key))
		}
	}
	return v
}

// skeleton is a result's page without what stands between its tags, and the colours and times of its text.
func skeleton(t *testing.T, document any) string {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var r result.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var page, b bytes.Buffer
	if err := errors.Join(report.HTML(&page, &r), report.Text(&b, &r, report.TextOptions{Color: true, Verbose: true, Width: 1 << 20}),
		report.Text(&b, &r, report.TextOptions{Color: true, Width: 1 << 20})); err != nil {
		t.Fatal(err)
	}
	return strings.Join(regexp.MustCompile(`<[^>]*>`).FindAllString(page.String(), -1), "\n") +
		strings.Join(regexp.MustCompile(`\n|\x1b\[[0-9;]*m(\+[0-9.]+)?`).FindAllString(b.String(), -1), "")
}

// TestReportOfFacts: the reports of every recorded run have the same rows, entries, chains, marks and colours where every
// text is x.
func TestReportOfFacts(t *testing.T) {
	for _, name := range recorded.Names {
		text, err := json.Marshal(resulttest.OfRecorded(t, name))
		if err != nil {
			t.Fatal(err)
		}
		var as, without any
		if err := errors.Join(json.Unmarshal(text, &as), json.Unmarshal(text, &without)); err != nil {
			t.Fatal(err)
		}
		want := skeleton(t, as)
		if got := skeleton(t, wordless(without, false)); got != want {
			t.Errorf("%s (-as it is +every text is x):\n%s", name, cmp.Diff(want, got))
		}
		delete(as.(map[string]any), "entries") // and a fact less would show
		if skeleton(t, as) == want {
			t.Errorf("%s: without its entries the report is the same", name)
		}
	}
}
