package docs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
)

// TestOutcomes: both tables say what each outcome means, in the order of summaries.
func TestOutcomes(t *testing.T) {
	var want []string
	for _, o := range account.Outcomes {
		want = append(want, string(o))
	}
	for name, heading := range map[string]string{"json.md": "## Outcomes", "../README.md": "## What the outcomes mean"} {
		if diff := cmp.Diff(want, tabled(read(t, name), heading)); diff != "" {
			t.Errorf("%s (-code +document):\n%s", name, diff)
		}
	}
	_, text, _ := strings.Cut(read(t, "json.md"), "\n## balance\n")
	row, _, _ := strings.Cut(text[strings.Index(text, "| `what`"):], "\n")
	for _, kind := range account.ItemKinds {
		if !strings.Contains(row, "`"+string(kind)+"`") {
			t.Errorf("json.md does not say what the item %s is", kind)
		}
	}
}

// TestOutcomesWithoutASource: the table of json.md says what account.PossibleWithout says.
func TestOutcomesWithoutASource(t *testing.T) {
	_, text, _ := strings.Cut(read(t, "json.md"), "\n## Outcomes without a source\n")
	text, _, _ = strings.Cut(text, "\n## ")
	seen := map[evidence.Source]bool{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			continue
		}
		for _, source := range evidence.Sources {
			if !strings.Contains(cells[0], "`"+string(source)+"`") {
				continue
			}
			seen[source] = true
			for i, programs := range []account.Programs{account.OwnTCP, account.OwnUDP, account.External} {
				possible := account.PossibleWithout(source, programs)
				for _, o := range account.PossibleWithout("", programs) {
					lost := strings.Contains(cells[i+1], "`"+string(o)+"`") || strings.Contains(cells[i+1], " all:")
					if lost == slices.Contains(possible, o) {
						t.Errorf("without %s, %s: the document says of %s that it cannot be told: %v", source, programs, o, lost)
					}
				}
			}
		}
	}
	if len(seen) != len(evidence.Sources) {
		t.Errorf("json.md speaks of %v", seen)
	}
}
