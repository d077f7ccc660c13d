package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/internal/golden"
)

// beyondSchema names the bad files that a schema cannot refuse, with the reason.
var beyondSchema = map[string]string{
	"alias":              "a schema sees the document with its aliases followed",
	"cluster-ip":         "which networks are in use is nothing that a schema knows",
	"does-not-fit":       "how fields fit together",
	"duplicate-name":     "names in different items",
	"merge-key":          "a schema sees the document with its aliases followed",
	"no-such-connection": "how fields fit together",
	"exec":               "how fields fit together",
	"never-together":     "how fields fit together",
	"nobody":             "how fields fit together",
	"programs":           "how fields fit together",
	"repeat":             "how fields fit together",
	"share":              "how many connections a probability needs",
	"sysctls":            "which sysctls belong to the machine, and which pods there are",
	"time-scale":         "what can be divided",
	"two-documents":      "a schema sees one document",
}

// Each file in testdata/bad is refused with all its problems, in the order of the file, each with its place.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files", err)
	}
	schema := newSchemaChecker(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lib, err := Parse(name+".yaml", data)
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || lib != nil {
				t.Fatalf("Parse gave a library %v and the error %v, want Problems", lib, err)
			}
			hasPlaces(t, problems, data)
			golden.Text(t, "bad/"+name+".txt", problems.Error()+"\n")
			reason, beyond := beyondSchema[name]
			if refused := len(schema.file(data)) > 0; refused == beyond {
				t.Errorf("the schema refuses the file: %v; reason why it cannot: %q", refused, reason)
			}
		})
	}
}

// hasPlaces checks that problems stand in the order of the file, with a line and a column that the file has.
func hasPlaces(t *testing.T, problems Problems, data []byte) {
	t.Helper()
	lines := strings.Split(string(data), "\n")
	for _, p := range problems {
		if p.Line == 0 && p.Text == "the file holds no scenario" {
			continue
		}
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+2 { // the parser puts what is missing there
			t.Errorf("no such place in the file: %s", p)
		}
		if p.Text == "" {
			t.Errorf("no text: %s", p)
		}
	}
	if !slices.IsSortedFunc(problems, func(a, b Problem) int { return a.Line - b.Line }) {
		t.Error("not in the order of the file")
	}
}

// Problems are the same, in the same order, each time: some of them are found by walking maps.
func TestProblemsAreStable(t *testing.T) {
	data, err := os.ReadFile("testdata/bad/sysctls.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, first := Parse("f", data)
	for range 20 {
		if _, again := Parse("f", data); again.Error() != first.Error() {
			t.Fatalf("first:\n%v\nthen:\n%v", first, again)
		}
	}
}

func TestTooLargeFile(t *testing.T) {
	_, err := Parse("f", make([]byte, maxFile+1))
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("got %v", err)
	}
}
