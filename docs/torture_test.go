package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFaults: the list of faults names those that the code asks for, each once, and torture.md says which check finds each.
func TestFaults(t *testing.T) {
	asked := map[string]bool{}
	is := regexp.MustCompile(`fault\.Is\("([a-z-]+)"\)`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range is.FindAllStringSubmatch(string(text), -1) {
			asked[m[1]] = true
		}
		return err
	})
	if err != nil || len(asked) < 15 {
		t.Fatal(err, asked)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^\t\{"([a-z-]+)", "`).FindAllStringSubmatch(read(t, filepath.Join(root, "torture/trial/fault.go")), -1) {
		listed = append(listed, m[1])
	}
	document := read(t, "torture.md")
	for name := range asked {
		if !slices.Contains(listed, name) {
			t.Errorf("the code asks for %s, which is not listed", name)
		}
		if !strings.Contains(document, "`"+name+"`") {
			t.Errorf("torture.md does not say what finds %s", name)
		}
	}
	slices.Sort(listed)
	for i, name := range listed {
		if !asked[name] || i > 0 && listed[i-1] == name {
			t.Errorf("%s is listed, but no code asks for it, or it is listed twice", name)
		}
	}
}
