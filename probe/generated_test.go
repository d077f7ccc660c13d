// Package probe holds a test that the compiled BPF programs below it are those that their sources give.
package probe

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeStamp is set by go generate only.
var writeStamp = flag.Bool("stamp", false, "write bpf/generated.txt: the generated files are from these sources")

const stampFile = "bpf/generated.txt"

// compiled are the packages with a BPF program.
var compiled = []bpfPackage{"kernel", "audit"}

// bpfPackage is the folder, and the name, of a package whose BPF program is in its folder bpf.
type bpfPackage string

// The generated files are from these sources and were not changed by hand. No clang is needed to see that.
func TestGeneratedStamp(t *testing.T) {
	for _, p := range compiled {
		t.Run(string(p), p.stamp)
	}
}

func (p bpfPackage) stamp(t *testing.T) {
	var now strings.Builder
	for _, file := range append(p.glob(t, "bpf/*.[ch]"), p.generated(t)...) {
		fmt.Fprintf(&now, "%x  %s\n", sha256.Sum256(p.read(t, file)), file)
	}
	if *writeStamp {
		version, err := clangVersion()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.path(stampFile), []byte(version+"\n"+now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, sums, _ := strings.Cut(string(p.read(t, stampFile)), "\n")
	if sums != now.String() {
		t.Errorf("%s does not fit the files: go generate ./probe/%s\nit says\n%sthe files are\n%s", stampFile, p, sums, now.String())
	}
}

// Compiling the sources again gives the committed files. Another clang than theirs may generate other code: then they
// must still compile, and give the same Go.
func TestGeneratedCompile(t *testing.T) {
	for _, p := range compiled {
		t.Run(string(p), p.compile)
	}
}

func (p bpfPackage) compile(t *testing.T) {
	version, err := clangVersion()
	if err != nil {
		if os.Getenv("CTSIM_REQUIRE_CLANG") == "1" {
			t.Fatalf("CTSIM_REQUIRE_CLANG=1: %v", err)
		}
		t.Skipf("needs clang, llvm and libbpf's headers (apt-get install clang llvm libbpf-dev): %v", err)
	}
	dir := t.TempDir()
	generate := exec.Command("go", append([]string{"run"}, p.directive(t, dir)...)...)
	generate.Dir = string(p)
	generate.Env = append(os.Environ(), "GOPACKAGE="+string(p))
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", generate, err, out)
	}
	stamped, _, _ := strings.Cut(string(p.read(t, stampFile)), "\n")
	for _, file := range p.generated(t) {
		if filepath.Ext(file) == ".o" && version != stamped {
			t.Logf("%s is of %s and not compared with one of %s", file, stamped, version)
			continue
		}
		if !bytes.Equal(p.read(t, file), readFile(t, filepath.Join(dir, file))) {
			t.Errorf("%s is not what the sources give: go generate ./probe/%s", p.path(file), p)
		}
	}
}

// directive gives the arguments of generate.go's bpf2go, writing into dir.
func (p bpfPackage) directive(t *testing.T, dir string) []string {
	t.Helper()
	for line := range strings.Lines(string(p.read(t, "generate.go"))) {
		command, ok := strings.CutPrefix(line, "//go:generate go run ")
		if ok && strings.Contains(command, "bpf2go") {
			return slices.Insert(strings.Fields(command), 1, "-output-dir", dir)
		}
	}
	t.Fatal("generate.go has no bpf2go line")
	return nil
}

// clangVersion also fails where the rest of the compiler's company is missing.
func clangVersion() (string, error) {
	if _, err := exec.LookPath("llvm-strip"); err != nil {
		return "", err
	}
	const header = "/usr/include/bpf/bpf_helpers.h"
	if _, err := os.Stat(header); err != nil {
		return "", err
	}
	out, err := exec.Command("clang", "--version").Output()
	version, _, _ := strings.Cut(string(out), "\n")
	return version, err
}

// generated are the files bpf2go writes. There are those for little-endian machines only; others would not fit the stamp.
func (p bpfPackage) generated(t *testing.T) []string {
	t.Helper()
	return p.glob(t, "*_linux_bpfe?.*")
}

// glob finds files of the package, and gives their names as seen from its folder.
func (p bpfPackage) glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := fs.Glob(os.DirFS(string(p)), pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files %s: %v", p, pattern, err)
	}
	return files
}

func (p bpfPackage) path(file string) string { return filepath.Join(string(p), file) }

func (p bpfPackage) read(t *testing.T, file string) []byte {
	t.Helper()
	return readFile(t, p.path(file))
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
