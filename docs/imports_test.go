package docs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/ctsim/ctsim"

// kernelOnly are packages that ask the kernel or start processes; only files whose name says so may import them. (Not
// gopacket/pcapgo: it captures, but it writes files too, which is pure.)
var kernelOnly = []string{
	"golang.org/x/sys/unix", "github.com/vishvananda/", "github.com/cilium/ebpf", "github.com/coreos/go-iptables", "os/exec",
	"github.com/mdlayher/netlink", "github.com/ti-mo/",
}

// pureAllTheSame are files that use no more of such a package than its tables.
var pureAllTheSame = map[string]string{
	"probe/peer/report.go": "names errnos",
}

// row is a line of the table in design.md: a package, what it holds, and what it imports of ctsim.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| ([^|]*) \\|$")

// arrows are the packages in design.md's table, and what each imports.
func arrows(t *testing.T) map[string][]string {
	t.Helper()
	document := read(t, "design.md")
	_, table, _ := strings.Cut(document, "| folder | holds | imports |")
	table, _, _ = strings.Cut(table, "\n\n")
	out := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		out[m[1]] = nil
		if m[2] != "–" {
			out[m[1]] = strings.Split(m[2], ", ")
		}
	}
	return out
}

// TestArrows holds the table of design.md against the code: every package is in it, and imports of ctsim what its row
// says, no less and no more. An arrow that is new or gone is so because somebody has decided it.
func TestArrows(t *testing.T) {
	want, got := arrows(t), map[string][]string{}
	if len(want) < 20 {
		t.Fatalf("the table of design.md has %d rows that can be read", len(want))
	}
	forEachFile(t, func(name string, imports []string) {
		folder := filepath.Dir(name)
		got[folder] = append(got[folder], nil...)
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, path := range imports {
			if inside, ours := strings.CutPrefix(path+"/", modulePath+"/"); ours {
				got[folder] = append(got[folder], filepath.Clean(inside))
			}
		}
	})
	for _, folder := range slices.Sorted(maps.Keys(got)) {
		is := slices.Compact(slices.Sorted(slices.Values(got[folder])))
		listed, known := want[folder]
		switch {
		case !known:
			t.Errorf("%s is not in the table of design.md; it imports %s", folder, strings.Join(is, ", "))
		case !slices.Equal(is, listed):
			t.Errorf("%s imports\n  %s\nand design.md says\n  %s", folder, strings.Join(is, ", "), strings.Join(listed, ", "))
		}
		delete(want, folder)
	}
	for folder := range want {
		t.Errorf("design.md has %s, which is not there", folder)
	}
}

// TestEvidenceKnowsNoScenario: evidence and accounts may be made of anything: their tests too feed them facts that no
// run made. What a test of the accounts imports counts as well.
func TestEvidenceKnowsNoScenario(t *testing.T) {
	want := arrows(t)
	seen := map[string]bool{}
	var follow func(folder string)
	follow = func(folder string) {
		if seen[folder] {
			return
		}
		seen[folder] = true
		for _, to := range want[folder] {
			follow(to)
		}
	}
	follow("evidence/account")
	for folder := range seen {
		if strings.HasPrefix(folder, "scenario") || folder == "lab" || folder == "report" {
			t.Errorf("evidence/account leads to %s", folder)
		}
	}
	forEachFile(t, func(name string, imports []string) {
		if dir := filepath.Dir(name); dir != "evidence" && dir != "evidence/account" {
			return
		}
		for _, path := range imports {
			if strings.HasPrefix(path, modulePath+"/scenario") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	})
}

// TestOnlyLinuxFilesAskTheKernel: what asks the kernel, or starts a process, says so by its name.
func TestOnlyLinuxFilesAskTheKernel(t *testing.T) {
	forEachFile(t, func(name string, imports []string) {
		saysSo := strings.HasSuffix(name, "_linux.go") || strings.Contains(name, "_linux_") || strings.HasPrefix(name, "cmd/")
		if saysSo || strings.HasSuffix(name, "_test.go") || pureAllTheSame[name] != "" {
			return
		}
		for _, path := range imports {
			if slices.ContainsFunc(kernelOnly, func(k string) bool { return strings.HasPrefix(path, k) }) {
				t.Errorf("%s imports %s: only *_linux.go files ask the kernel", name, path)
			}
		}
	})
}

// TestRoomsAreNotTooLarge: no package has more than 40 files, tests aside.
func TestRoomsAreNotTooLarge(t *testing.T) {
	files := map[string]int{}
	forEachFile(t, func(name string, _ []string) {
		if !strings.HasSuffix(name, "_test.go") {
			files[filepath.Dir(name)]++
		}
	})
	for folder, n := range files {
		if n > 40 {
			t.Errorf("%s has %d files", folder, n)
		}
	}
}

// forEachFile calls f with every Go file of the repository and what it imports.
func forEachFile(t *testing.T, f func(name string, imports []string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range file.Imports {
			imported, malformed := strconv.Unquote(spec.Path.Value)
			if malformed != nil {
				return malformed
			}
			imports = append(imports, imported)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f(name, imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
