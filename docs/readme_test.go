package docs_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// binary is where TestMain lets ctsim be built.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		if err := beClient(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "ctsim-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "ctsim")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var buildOnce = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../cmd/ctsim").CombinedOutput()
})

// built gives the path of a ctsim made from this source.
func built(t *testing.T) string {
	t.Helper()
	if out, err := buildOnce(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// localRelease is what a distribution or an owner adds to a kernel's release: of no use to the reader of a transcript.
var localRelease = regexp.MustCompile(`\b(\d+\.\d+\.\d+)-[\w.-]*\w`)

// said runs a command in a folder and gives what it wrote, stderr after stdout, and its exit code.
func said(t *testing.T, dir, program string, args ...string) (text string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	// ctsim names itself in hints as it was called.
	text = strings.ReplaceAll(stdout.String()+stderr.String(), program, "ctsim")
	return localRelease.ReplaceAllString(text, "$1"), cmd.ProcessState.ExitCode()
}

var (
	commandPattern = regexp.MustCompile("(?m)(?:`|^\\$ |^)(?:sudo )?ctsim ([a-z]+)([^`\n|]*)")
	flagPattern    = regexp.MustCompile(`(^|\s)(--?[a-z][a-z-]*)`)
	subcommand     = regexp.MustCompile(`^ ([a-z]+)`)
	listedCommand  = regexp.MustCompile(`(?m)^   ([a-z]+)  +\S`)
)

// TestCommands: every command and flag that the README names is in the help, and every command of the help is named.
func TestCommands(t *testing.T) {
	ctsim := built(t)
	help, _ := said(t, "", ctsim, "help")
	_, commands, ok := strings.Cut(help, "\nCOMMANDS:\n")
	if !ok {
		t.Fatalf("ctsim help lists no commands:\n%s", help)
	}
	commands, _, _ = strings.Cut(commands, "\nGLOBAL OPTIONS:")
	var known []string
	for _, m := range listedCommand.FindAllStringSubmatch(commands, -1) {
		known = append(known, m[1])
	}

	document := read(t, filepath.Join(root, "README.md"))
	blocks, text := split(document)
	typed := []string{text}
	for _, b := range blocks {
		for _, line := range b.lines {
			if b.language == "sh" || strings.HasPrefix(line, "$ ") {
				typed = append(typed, line)
			}
		}
	}
	var named []string
	for _, m := range commandPattern.FindAllStringSubmatch(strings.Join(typed, "\n"), -1) {
		command := m[1]
		if !slices.Contains(known, command) {
			if strings.Contains(m[0], "`") || strings.Contains(m[0], "$") {
				t.Errorf("README.md names ctsim %s, which does not exist", command)
			}
			continue // a sentence that begins with "ctsim"
		}
		named = append(named, command)
		flags, _ := said(t, "", ctsim, command, "--help")
		if sub := subcommand.FindStringSubmatch(m[2]); sub != nil && strings.Contains(flags, "\nCOMMANDS:\n") {
			var code int
			if flags, code = said(t, "", ctsim, command, sub[1], "--help"); code != 0 {
				t.Errorf("README.md names ctsim %s %s, which does not exist", command, sub[1])
			}
			m[2], _, _ = strings.Cut(m[2], " -- ") // what comes after is another program's
		}
		for _, f := range flagPattern.FindAllStringSubmatch(m[2], -1) {
			if !regexp.MustCompile(`(?m)(^|[ ,])` + f[2] + `( |,|$)`).MatchString(flags) {
				t.Errorf("README.md: ctsim %s has no flag %s", command, f[2])
			}
		}
	}
	for _, command := range known {
		if !slices.Contains(named, command) {
			t.Errorf("README.md does not name ctsim %s", command)
		}
	}
}

// TestExitCodes: the table of the README has the codes of the help.
func TestExitCodes(t *testing.T) {
	help, _ := said(t, "", built(t), "help")
	_, help, _ = strings.Cut(help, "Exit codes:")
	help, _, _ = strings.Cut(help, "COMMANDS:")
	numbers := regexp.MustCompile(`\b\d+\b`)
	inHelp := numbers.FindAllString(help, -1)
	_, section, _ := strings.Cut(read(t, filepath.Join(root, "README.md")), "## Exit codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, code := range numbers.FindAllString(cells[1], -1) {
			if !slices.Contains(inHelp, code) {
				t.Errorf("README.md: exit code %s is not in ctsim help", code)
			}
			inHelp = slices.DeleteFunc(inHelp, func(n string) bool { return n == code })
		}
	}
	if len(inHelp) > 0 {
		t.Errorf("README.md lacks exit codes %v", inHelp)
	}
}

// TestTranscripts: what the README shows is what ctsim prints. Its YAML blocks are files named by their first line.
// Runs differ each time; of them only the headings are compared, and the exit code must be 0.
func TestTranscripts(t *testing.T) {
	ctsim, dir := built(t), t.TempDir()
	path := filepath.Join(root, "README.md")
	document := read(t, path)
	blocks, _ := split(document)
	for _, b := range blocks {
		if b.language == "yaml" {
			name, ok := strings.CutPrefix(b.lines[0], "# ")
			if !ok {
				t.Fatalf("README.md: a YAML block does not begin with the name of its file: %s", b.lines[0])
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(b.lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, b := range blocks {
		if b.language != "console" {
			continue
		}
		shown := strings.Join(b.lines, "\n")
		var printed []string
		for _, one := range transcript(b.lines) {
			printed = append(printed, "$ "+one.command)
			printed = append(printed, one.check(t, dir, ctsim)...)
		}
		if *update {
			document = strings.Replace(document, shown, strings.Join(printed, "\n"), 1)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// exchange is a command of a transcript and what it printed. A line of … alone stands for lines left out.
type exchange struct {
	command string
	output  []string
}

func transcript(lines []string) (all []exchange) {
	for _, line := range lines {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, exchange{command: command})
		} else if n := len(all); n > 0 {
			all[n-1].output = append(all[n-1].output, line)
		}
	}
	return all
}

// check compares, and gives what the transcript should show.
func (x exchange) check(t *testing.T, dir, ctsim string) []string {
	args := strings.Fields(strings.TrimPrefix(x.command, "sudo "))
	if args[0] != "ctsim" {
		t.Errorf("README.md: a transcript of %q, which is not ctsim", args[0])
		return x.output
	}
	if args[1] == "audit" {
		return x.checkAudit(t, ctsim, args[1:])
	}
	isRun, isDoctor := args[1] == "run", args[1] == "doctor"
	text, code := said(t, dir, ctsim, args[1:]...)
	// The README shows the main case as it goes when the first flush re-routes the flow.
	for i := 0; i < 50 && *update && isRun && !strings.Contains(text, "after 1 loss of its entry") &&
		strings.Contains(text, "losses of its entry"); i++ {
		text, code = said(t, dir, ctsim, args[1:]...)
	}
	if (isRun || isDoctor) && code == 3 && os.Getenv("CTSIM_REQUIRE_KERNEL") != "1" {
		t.Logf("%s: not on this machine", x.command)
		return x.output
	}
	if isRun && code != 0 {
		t.Errorf("%s: exit code %d\n%s", x.command, code, text)
	}
	got := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if slices.Contains(x.output, "…") {
		return x.checkParts(t, got)
	}
	if *update {
		return got
	}
	want := x.output
	if isRun {
		want, got = headings(want), headings(got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md: %s (-shown +printed; `make golden` writes it anew):\n%s", x.command, diff)
	}
	return x.output
}

// checkParts is for a transcript with lines left out: those that are shown must be printed, in this order.
func (x exchange) checkParts(t *testing.T, got []string) []string {
	rest := got
	for _, line := range x.output {
		if line == "…" {
			continue
		}
		i := slices.Index(rest, line)
		if i < 0 {
			t.Errorf("README.md: %s does not print, or not in this place: %s", x.command, line)
			continue
		}
		rest = rest[i+1:]
	}
	return x.output
}

var changing = regexp.MustCompile(`took .*|: as expected.*`)

// headings are the lines of a report that are the same each time.
func headings(lines []string) (all []string) {
	for _, line := range lines {
		if line != "" && line[0] != ' ' {
			all = append(all, changing.ReplaceAllString(line, ""))
		}
	}
	return all
}
