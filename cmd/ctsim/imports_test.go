package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ctsim/ctsim"

// mayImport is the direction of the design: a folder knows only what is listed, and what lies below it. A folder that
// is not listed here fails the test, so that the direction of a new one is decided and not drifted into.
var mayImport = map[string][]string{
	".":                   {},
	"topology":            {},
	"internal/printable":  {},
	"internal/strictyaml": {},
	"kube":                {"internal/strictyaml"},
	"dataplane":           {"kube", "topology"},
	"dataplane/modes":     {"dataplane", "iptables"},
	"iptables":            {"dataplane", "kube", "topology"},
	"probe":               {"topology"},
	"scenario":            {"internal/printable", "internal/strictyaml", "topology", "kube", "dataplane", "dataplane/modes", "probe"},
	"report":              {"internal/printable", "scenario", "probe"},
	"lab":                 {"internal/printable", "topology", "kube", "dataplane", "dataplane/modes", "probe", "scenario"},
	"doctor":              {"topology", "kube", "dataplane", "dataplane/modes", "probe"},
	"cmd/ctsim":           {".", "internal/printable", "internal/strictyaml", "topology", "kube", "dataplane/modes", "probe", "scenario", "report", "doctor", "lab"},
}

// kernelOnly are packages that ask the kernel or start processes; only files whose name says so may import them. (Not
// gopacket/pcapgo: it captures, but it writes files too, which is pure.)
var kernelOnly = []string{
	"golang.org/x/sys/unix", "github.com/vishvananda/", "github.com/cilium/ebpf", "github.com/coreos/go-iptables", "os/exec",
	"github.com/mdlayher/netlink", "github.com/ti-mo/",
}

// pureAllTheSame are files that use no more of such a package than its tables.
var pureAllTheSame = map[string]string{
	"probe/report.go": "names errnos",
}

// TestImports holds the two rules about imports for all files that are not tests.
func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checkImports(t, root, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, root, path string) {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	folder, known := listed(filepath.Dir(name))
	if !known {
		t.Errorf("%s: no direction of imports is laid down for this folder", name)
		return
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if inside, ours := strings.CutPrefix(imported+"/", module+"/"); ours {
			to, _ := listed(strings.TrimSuffix(inside, "/"))
			if to != folder && !slices.Contains(mayImport[folder], to) {
				t.Errorf("%s imports %s: %s knows only %v", name, imported, folder, mayImport[folder])
			}
		}
		asksKernel := slices.ContainsFunc(kernelOnly, func(k string) bool { return strings.HasPrefix(imported, k) })
		saysSo := strings.HasSuffix(name, "_linux.go") || strings.Contains(name, "_linux_") || strings.HasPrefix(name, "cmd/")
		if asksKernel && !saysSo && pureAllTheSame[name] == "" {
			t.Errorf("%s imports %s: only *_linux.go files ask the kernel", name, imported)
		}
	}
}

// listed is the entry of mayImport that a folder belongs to: its own or that of the nearest folder above.
func listed(folder string) (entry string, known bool) {
	if folder == "" {
		folder = "."
	}
	for {
		if _, ok := mayImport[folder]; ok {
			return folder, true
		}
		up := filepath.Dir(folder)
		if up == "." {
			return "", false
		}
		folder = up
	}
}
