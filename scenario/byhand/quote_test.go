package byhand

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/stranger"
)

// inShell gives the words that bash makes of a line; done tells whether the line has run a command that makes the file.
func inShell(t *testing.T, line, file string) (words []string, done bool) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(bash, "-c", "set -- "+line+"\nprintf '%s\\0' \"$@\"").Output()
	if err == nil {
		words = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	_, err = os.Stat(file)
	return words, err == nil
}

// TestShellQuote: a word stays that word, nothing of it runs, and all of it can be seen.
func TestShellQuote(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made")
	for _, word := range []string{"", "plain", "it's", "a b", "$HOME", "-n", "~", "{a,b}", "*", "!x", "a\\nb", "\\", "\\'", "\n", "a\tb'c\\d", "\x1bab",
		"\u202eab", "é", "\u00adff", stranger.Text(file)} {
		quoted := ShellQuote(word)
		if !printable.IsLine(quoted) {
			t.Errorf("%q is not one line that can be seen: %q", word, quoted)
		}
		if got, done := inShell(t, quoted, file); done || !slices.Equal(got, []string{word}) {
			t.Errorf("%q becomes %q", word, got)
		}
		if got, done := inShell(t, PlainQuote(word), file); done || !slices.Equal(got, []string{word}) {
			t.Errorf("%q becomes %q in plain quotes", word, got)
		}
	}
	if _, done := inShell(t, stranger.Text(file), file); !done {
		t.Error("the test does not see that something runs")
	}
}

// TestNoCommandRunsAStrangersWords: whatever stands in a step, what a person is told to type for it is one command, and its
// words are those of the step.
func TestNoCommandRunsAStrangersWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made")
	text := stranger.Text(file)
	plan := builtin.Plan(t, builtin.Find(t, "flush-multi-backend"))
	plan.Client.Program = &scenario.External{Command: text}
	m := Moment{Plan: plan, Endpoints: plan.Service.Endpoints, Pods: plan.ServerNames(), Serving: "server-1", Connections: []int{1},
		Ports: map[int]uint16{1: 40001}, Entries: map[string][]Tracked{"master": {{netip.MustParseAddrPort("172.18.219.65:40001"), plan.Target, 9}}}}
	shown := 0
	for _, step := range scenario.Verbs() {
		if e, ok := step.Verb.(*scenario.Exec); ok {
			e.Command = []string{"true", "an argument"}
		}
		for _, f := range stranger.FieldsOf(&step) {
			if !strings.HasSuffix(f.Name, ".in") { // the name of a pod, and no other
				f.Set(text)
			}
		}
		for _, c := range Commands(step, m) {
			if c.Into != "" {
				continue // it is not typed into a shell
			}
			words, done := inShell(t, c.Line, file)
			if done || len(words) == 0 || !printable.IsLine(c.Line) {
				t.Errorf("%s: %q is more than a command", step.Name, c.Line)
			}
			if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, text) }) {
				shown++
			}
		}
	}
	if shown != 3 { // sysctl, exec and start-client
		t.Errorf("the words of %d steps are typed", shown)
	}
}
