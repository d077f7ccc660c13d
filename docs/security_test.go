package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests: each test that security.md names to show that an attack fails is there.
func TestSecurityNamesTests(t *testing.T) {
	var sources strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			sources.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(read(t, "security.md"), -1)
	if len(named) == 0 {
		t.Error("security.md names no test")
	}
	for _, m := range named {
		if !strings.Contains(sources.String(), "\nfunc "+m[1]+"(t ") {
			t.Errorf("security.md names %s, which is not there", m[1])
		}
	}
}
