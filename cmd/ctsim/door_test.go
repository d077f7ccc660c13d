package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/internal/printable"
)

// pastTheDoor are the places that write to stdout or stderr by another way than [cmdline.Output.Write] and Painted, with what
// goes that way.
var pastTheDoor = map[string]string{
	"cmd/ctsim/main.go: os.Stdout":                        "where the door is put",
	"cmd/ctsim/main.go: os.Stderr":                        "where the door is put",
	"cmd/ctsim/cmdline/output.go: Raw":                    "the way itself",
	"cmd/ctsim/audit.go: Raw":                             "clears the screen",
	"cmd/ctsim/status.go: Raw":                            "takes the status line away",
	"cmd/ctsim/labs/stream.go: Raw":                       "a capture file, refused on a terminal",
	"cmd/ctsim/labs/up.go: Raw":                           "what a lab's process tells the ctsim that started it",
	"cmd/ctsim/saved.go: Stdout.Unwrap":                   "compares files, writes nothing",
	"cmd/ctsim/rootless/rootless_linux.go: Stdout.Unwrap": "the same ctsim in a user namespace, with doors of its own",
	"cmd/ctsim/rootless/rootless_linux.go: Stderr.Unwrap": "the same ctsim in a user namespace, with doors of its own",
	"cmd/ctsim/step.go: Stderr.Unwrap":                    "a command that the user types at the prompt",
	"guest/init_linux.go: os.Stderr":                      "a guest's console, which no terminal is behind",
	"torture/main.go: os.Stdout":                          "no part of ctsim: what it shows is of its own making",
	"torture/main.go: os.Stderr":                          "no part of ctsim: what it shows is of its own making",
}

// waysPast are all ways past the door that a file of Go source has.
func waysPast(t *testing.T, name string, source any) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
				found = append(found, id.Name)
			}
		case *ast.BasicLit:
			if slices.Contains([]string{`"/dev/tty"`, `"/dev/stdout"`, `"/dev/stderr"`, `"/dev/console"`}, n.Value) {
				found = append(found, n.Value)
			}
		case *ast.SelectorExpr:
			of := ""
			switch x := n.X.(type) {
			case *ast.Ident:
				of = x.Name
			case *ast.SelectorExpr:
				of = x.Sel.Name
			}
			name := of + "." + n.Sel.Name
			switch {
			case slices.Contains([]string{"os.Stdout", "os.Stderr", "Stdout.Unwrap", "Stderr.Unwrap", "fmt.Print", "fmt.Printf", "fmt.Println",
				"syscall.Stdout", "syscall.Stderr", "unix.Stdout", "unix.Stderr"}, name), of == "log", of == "slog":
				found = append(found, name)
			case n.Sel.Name == "Raw" && (of == "cmdline" || of == "o" || strings.HasPrefix(of, "Std")):
				found = append(found, "Raw")
			}
		}
		return true
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// TestNoWriterGoesPastTheDoor: there is no way to a terminal in ctsim's source but those that are listed with their reason.
func TestNoWriterGoesPastTheDoor(t *testing.T) {
	root := "../.."
	met := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "systemtest") {
			return filepath.SkipDir // .ci is not shipped
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, way := range waysPast(t, path, nil) {
			place := filepath.ToSlash(name) + ": " + way
			met[place] = true
			if pastTheDoor[place] == "" {
				t.Errorf("%s: foreign text could reach a terminal this way", place)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for place := range pastTheDoor {
		if !met[place] {
			t.Errorf("%s is listed, and is not there", place)
		}
	}
	// The test itself.
	const source = `package p
func f() { println(1); fmt.Println(2); fmt.Fprint(os.Stderr); log.Fatal(3); inv.Stdout.Unwrap(); cmdline.Raw(w); inv.Stderr.Raw(); os.Open("/dev/tty") }`
	want := []string{`"/dev/tty"`, "Raw", "Stdout.Unwrap", "fmt.Println", "log.Fatal", "os.Stderr", "println"}
	if got := waysPast(t, "p.go", source); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// hidden is what a text may not show: control characters, one that turns the direction of writing, one that cannot be seen.
const hiddenText = `\e[2J\e[8m\u202e\u200b\x9b31m\r`

// everyPlace is a file in which the hidden text stands wherever a string may be, in keys too.
func everyPlace() string {
	return strings.ReplaceAll(`scenarios:
- name: "nH"
  title: "tH"
  cause: "cH"
  "keyH": 1
  world:
    client: {exec: "eH", user: "uH", env: {"kH": "vH"}}
    sysctls: {"placeH": {"net.H": "1"}, client: {"net.ipv4.H": "vH"}}
    service: {clusterIP: "1.2.3.4H"}
  steps: [connect, "sH", {"verbH": 1}, {exec: {in: "iH", command: ["cH"]}}, {sysctl: {in: "iH", key: "net.ipv4.kH", value: "vH"}}, {flush: "H"}]
  expect: {outcome: "oH", "fieldH": "H", errno: "EH"}
"rootH": 1
`, "H", hiddenText)
}

// accepted is a file in which it stands wherever that is allowed: in what is for programs.
func accepted() string {
	return strings.ReplaceAll(`scenarios:
- name: commands
  title: a title
  steps:
  - connect
  - exec: {name: shown, in: master, command: [printf, "%s", "H\nFORGED H"], may_fail: true}
  - exec: {in: client, command: ["no-such-programH\nFORGED"], may_fail: true}
  - send
  expect: {outcome: survived, exec: [{name: shown, output: "H\nFORGED"}]}
- name: program
  title: a title
  world: {client: {exec: "trueH\nFORGED", env: {KEY: "H"}}, server: {exec: "trueH"}}
  steps: [{start-client: {input: "H", printed: "H"}}, {input: "H\nFORGED"}, use: "H"]
  expect: {outcome: survived}
`, "H", hiddenText)
}

// TestNoFileReachesTheTerminal: whatever stands in a file, and in its name, what comes out is lines in which every character
// can be seen, and each line is ctsim's.
func TestNoFileReachesTheTerminal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "\x1b[2J\u202e\nFORGED")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	wrong, right, gone := filepath.Join(dir, "wrong.yaml"), filepath.Join(dir, "right.yaml"), filepath.Join(dir, "gone.yaml")
	for file, text := range map[string]string{wrong: everyPlace(), right: accepted()} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{2, []string{"validate", wrong}}, {0, []string{"validate", right}}, {2, []string{"validate", gone}}, {2, []string{"list", "-f", wrong}},
		{0, []string{"list", "-f", right}}, {0, []string{"list", "-f", right, "--output", "json"}}, {0, []string{"list", "-f", right, "--output", "name"}},
		{0, []string{"show", "-f", right, "commands", "program"}}, {0, []string{"show", "-f", right, "--output", "json", "commands"}},
		{0, []string{"show", "-f", right, "--output", "json", "program"}}, {2, []string{"show", "-f", right, "\x1b[2J\u202e"}},
		{0, []string{"script", "-f", right, "--allow-exec", "commands"}},
		{2, []string{"script", "-f", right, "--allow-exec", "program"}}, {2, []string{"script", "-f", right, "program"}}, {2, []string{"run", "-f", right}}, {2, []string{"run", "-f", wrong}},
		{2, []string{"run", "-f", gone}}, {2, []string{"run", "-f", right, "--\x1b[2J\u202e"}}, {2, []string{"\x1b[2J\u202e"}},
		{0, []string{"try", "--print", "--client", "true \x1b[2J\u202e", "--input", "\x1b[2J\u202e"}}, {2, []string{"lab", "up", "-f", wrong}},
		{2, []string{"lab", "up", "\x1b[2J\u202e"}},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), append([]string{"ctsim"}, c.args...), strings.NewReader(""), &stdout, &stderr); code != c.code {
			t.Errorf("%q: exit code %d: %s", c.args, code, stderr.String())
		}
		for _, out := range []string{stdout.String(), stderr.String()} {
			if !printable.IsText(out) {
				t.Errorf("%q writes what cannot be seen:\n%q", c.args, out)
			}
			if c.args[0] != "script" && c.args[0] != "try" && strings.Contains("\n"+out, "\nFORGED") {
				t.Errorf("%q writes a line that is not ctsim's:\n%s", c.args, out)
			}
		}
		if fmt.Sprint(c.args) == fmt.Sprint([]string{"show", "-f", right, "commands", "program"}) && strings.Count(stdout.String(), "\uFFFD") < 10 {
			t.Errorf("the words are lost:\n%s", stdout.String())
		}
	}
}
