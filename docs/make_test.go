package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// placed are the files below a folder.
func placed(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(dir, path)
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestInstall: what `make install` puts below DESTDIR and PREFIX works, and `make uninstall` takes away that and no more.
func TestInstall(t *testing.T) {
	ctsim, dir := built(t), t.TempDir()
	environment := []string{"DESTDIR=" + dir, "PREFIX=/opt/c"}
	if said, code := inModule(t, "", "place", environment, "install", ctsim); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	want := []string{
		"opt/c/bin/ctsim",
		"opt/c/share/bash-completion/completions/ctsim",
		"opt/c/share/fish/vendor_completions.d/ctsim.fish",
		"opt/c/share/man/man1/ctsim.1",
		"opt/c/share/zsh/site-functions/_ctsim",
	}
	if diff := cmp.Diff(want, placed(t, dir)); diff != "" {
		t.Errorf("installed (-want +got):\n%s", diff)
	}
	if out, err := exec.Command(filepath.Join(dir, want[0]), "version").CombinedOutput(); err != nil {
		t.Errorf("ctsim version: %v\n%s", err, out)
	}
	for _, file := range want[1:] {
		if !strings.Contains(read(t, filepath.Join(dir, file)), "ctsim") {
			t.Errorf("%s does not speak of ctsim", file)
		}
	}
	other := filepath.Join(dir, "opt/c/bin/other")
	if err := os.WriteFile(other, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if said, code := inModule(t, "", "place", environment, "uninstall"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	if diff := cmp.Diff([]string{"opt/c/bin/other"}, placed(t, dir)); diff != "" {
		t.Errorf("left by uninstall (-want +got):\n%s", diff)
	}
	if said, code := inModule(t, "", "place", environment, "install", "/bin/false"); code == 0 || len(placed(t, dir)) != 1 {
		t.Errorf("a program that is not ctsim: exit code %d, there is %v\n%s", code, placed(t, dir), said)
	}
}

// TestLinkerVariables: what the Makefile has the linker set exists. The linker says nothing of a variable that does not.
func TestLinkerVariables(t *testing.T) {
	source := read(t, filepath.Join(root, "cmd", "ctsim", "version.go"))
	set := regexp.MustCompile(`-X main\.(\w+)=`).FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1)
	if len(set) == 0 {
		t.Error("the Makefile gives a binary no version")
	}
	for _, m := range set {
		if !regexp.MustCompile(`(?m)^(var |\t)` + m[1] + ` +string$`).MatchString(source) {
			t.Errorf("the Makefile sets main.%s, which version.go does not have as a string", m[1])
		}
	}
}
