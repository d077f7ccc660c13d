package scenario_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario"
)

// The report that a colleague gets, of the runs that show the most: complete and in order, with all sources in it.
func TestReport(t *testing.T) {
	for _, name := range []string{"flush-multi-backend", "server-speaks-first", "invalid-out-of-window", "loose-off", "keepalive-too-slow"} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := report.Text(&b, scenario.AssembleRecorded(t, name), report.TextOptions{}); err != nil {
				t.Fatal(err)
			}
			got := masked(b.String())
			file := filepath.Join("testdata/report", name+".txt")
			if scenario.Updating() {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./scenario -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
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
