package docs_test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inOrder is a module in which .ci/lint has nothing to find.
var inOrder = map[string]string{
	"go.mod": "module example.test/m\n\ngo 1.26\n",
	"main.go": `package main

import (
	"fmt"
	"os"
)

func main() {
	err := os.Chdir("/")
	if err := os.Chdir("/tmp"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(err)
}
`,
}

// faults are, for each check of .ci/lint, a file that it must find something in, and a word of what it says.
var faults = map[string]struct{ file, text, said string }{
	"gofmt":     {"a.go", "package main\nvar  _ = 1\n", "a.go"},
	"vet":       {"a.go", "package main\n\nimport \"fmt\"\n\nfunc init() { fmt.Printf(\"%d\", \"\") }\n", "Printf"},
	"vet-arm64": {"a_arm64.go", "package main\n\nimport \"fmt\"\n\nfunc init() { fmt.Printf(\"%d\", \"\") }\n", "Printf"},
	"staticcheck": {"a.go", "package main\n\nimport \"os\"\n\nfunc init() {\n\tif a := len(os.Args); a == a {\n\t\tos.Exit(1)\n\t}\n}\n",
		"SA4000"},
	"errorlint": {"a.go", "package main\n\nimport \"os\"\n\nfunc init() {\n" +
		"\tif _, err := os.Open(\"a\"); err == os.ErrNotExist {\n\t\tos.Exit(1)\n\t}\n}\n", "errors.Is"},
	"shadow": {"a.go", "package main\n\nimport \"os\"\n\nfunc lost() (err error) {\n\tif len(os.Args) > 1 {\n" +
		"\t\tf, err := os.Create(\"a\")\n\t\tif err == nil {\n\t\t\terr = f.Close()\n\t\t}\n\t}\n\treturn err\n}\n\nfunc init() { _ = lost() }\n",
		`a.go:7:6: declaration of "err" shadows`},
	"tidy":     {"go.mod", "module example.test/m\n\ngo 1.26\n\nrequire example.test/unused v1.0.0\n\nreplace example.test/unused => ./unused\n", "-require"},
	"deadcode": {"a.go", "package main\n\nfunc unreached() {}\n", "unreached"},
}

// module writes a module of its own for a test and gives its folder.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inModule runs a script of .ci in a folder and gives what it wrote, and its exit code.
func inModule(t *testing.T, dir, script string, environment []string, args ...string) (string, int) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".ci", script))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestLintPasses: a module without fault passes, an error in the header of an if that hides another one included.
func TestLintPasses(t *testing.T) {
	t.Parallel()
	if said, code := inModule(t, module(t, inOrder), "lint", nil); code != 0 {
		t.Errorf("exit code %d:\n%s", code, said)
	}
}

// TestLintFinds: each check that .ci/lint makes finds its fault, and does not pass where it cannot look.
func TestLintFinds(t *testing.T) {
	t.Parallel()
	script := read(t, filepath.Join(root, ".ci", "lint"))
	_, names, _ := strings.Cut(script, "\nchecks=(")
	names, _, _ = strings.Cut(names, ")")
	for _, check := range strings.Fields(names) {
		fault, ok := faults[check]
		if !ok {
			t.Errorf("there is no fault that shows that the check %s finds something", check)
			continue
		}
		t.Run(check, func(t *testing.T) {
			files := maps.Clone(inOrder)
			files[fault.file] = fault.text
			if check == "tidy" {
				files["unused/go.mod"] = "module example.test/unused\n"
			}
			if said, code := inModule(t, module(t, files), "lint", nil, check); code != 1 || !strings.Contains(said, fault.said) {
				t.Errorf("exit code %d, and %q should be in\n%s", code, fault.said, said)
			}
			broken := map[string]string{"go.mod": "module example.test/m\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {\n"}
			if check == "tidy" {
				broken["go.mod"] = "nonsense\n"
			}
			if said, code := inModule(t, module(t, broken), "lint", nil, check); code != 1 {
				t.Errorf("a program that does not compile: exit code %d:\n%s", code, said)
			}
		})
	}
	if said, code := inModule(t, module(t, inOrder), "lint", nil, "nosuch"); code != 1 {
		t.Errorf("a check that does not exist: exit code %d:\n%s", code, said)
	}
	if len(faults) != len(strings.Fields(names)) {
		t.Errorf("faults for %v, checks %s", slices.Sorted(maps.Keys(faults)), names)
	}
}

// TestVuln: with a database that knows of a fault in what is called, of one in what is not, and without a database.
func TestVuln(t *testing.T) {
	t.Parallel()
	database := func(symbol string) string {
		return "GOVULNDB=file://" + module(t, map[string]string{
			"index/db.json":      `{"modified": "2026-01-01T00:00:00Z"}`,
			"index/modules.json": `[{"path": "stdlib", "vulns": [{"id": "GO-2026-0001", "modified": "2026-01-01T00:00:00Z"}]}]`,
			"ID/GO-2026-0001.json": `{"schema_version": "1.3.1", "id": "GO-2026-0001", "modified": "2026-01-01T00:00:00Z",
				"published": "2026-01-01T00:00:00Z", "details": "made up",
				"database_specific": {"url": "https://example.test/GO-2026-0001"}, "affected": [{"package": {"name": "stdlib", "ecosystem": "Go"},
				"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
				"ecosystem_specific": {"imports": [{"path": "os", "symbols": ["` + symbol + `"]}]}}]}`,
		})
	}
	dir := module(t, inOrder)
	for _, c := range []struct {
		name, database, said string
		code                 int
	}{
		{"called", database("Chdir"), "GO-2026-0001", 3},
		{"not called", database("Chtimes"), "No vulnerabilities found", 0},
		{"no database", "GOVULNDB=http://127.0.0.1:1", "NOT CHECKED", 4},
	} {
		if said, code := inModule(t, dir, "vuln", []string{c.database}); code != c.code || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s", c.name, code, c.code, c.said, said)
		}
	}
}
