package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/builtin"
)

// TestKernelScriptShowsTheSame: the script of every built-in scenario, run by itself, comes to what the run comes to, and
// leaves nothing; and so do ends that no built-in scenario has, some of which must not be called survived.
func TestKernelScriptShowsTheSame(t *testing.T) {
	more, err := filepath.Abs("testdata/script/outcomes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		t.Run("scripts", func(t *testing.T) {
			if b.Who.UID != 0 {
				for _, name := range []string{mainCase, "syn-sent-stuck", "invalid-not-dropped"} {
					b.scriptSaysTheSame(t, name)
				}
				return
			}
			for _, s := range builtin.Library(t).Scenarios {
				b.scriptSaysTheSame(t, s.Name)
			}
			for _, name := range namesIn(t, more) {
				b.scriptSaysTheSame(t, name, "-f", more)
			}
			t.Run("ten-by-chance", b.rerouted)
		})
		b.LeavesNothing(t, before)
	})
}

// scriptSaysTheSame compares a script with a run: the word of each connection, and the exit code. Where chance decides,
// both have the same words, and the script's agree with what it has seen.
func (b *binary) scriptSaysTheSame(t *testing.T, name string, flags ...string) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		stdout, complaint, code := b.Run(t, append([]string{"run", name, "--output", "json"}, flags...)...)
		if stdout == "" {
			t.Fatalf("the run: exit code %d\n%s", code, complaint)
		}
		out, errs, scriptCode := b.script(t, append([]string{name}, flags...)...)
		got, _, _ := strings.Cut(strings.TrimPrefix(lastLine(out), "outcome: "), ";")
		want := outcomesOf(t, stdout)
		if name == "flush-share" {
			got, want = wordsOf(got), wordsOf(want)
		}
		if got != want || scriptCode != code || errs != "" {
			t.Errorf("the script: exit code %d, want %d and %s\n%s%s", scriptCode, code, want, out, errs)
		}
		if open := strings.Contains(want, "inconclusive"); open != (code == cmdline.ExitInconclusive) || open != strings.Contains(lastLine(out), "; connection ") {
			t.Errorf("exit code %d of the run, and the script ends with %q", code, lastLine(out))
		}
	})
}

// outcomesOf is a run's summary in the words of a script's last line.
func outcomesOf(t *testing.T, document string) string {
	t.Helper()
	var result struct{ Connections []struct{ Outcome string } }
	if err := json.Unmarshal([]byte(document), &result); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, c := range result.Connections {
		if c.Outcome == string(account.Unknown) {
			c.Outcome = "inconclusive"
		}
		counts[c.Outcome]++
	}
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[outcome], outcome))
	}
	return strings.Join(parts, ", ")
}

// wordsOf are the outcomes of a script's last line without their numbers.
func wordsOf(outcomes string) string {
	var words []string
	for part := range strings.SplitSeq(outcomes, ", ") {
		_, word, _ := strings.Cut(part, " ")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

var scriptConnection = regexp.MustCompile(`(?m)^connection \d+: ([a-z-]+), translated to (.*?): `)

// rerouted: where chance decides, the script's words agree with what it has seen. Of connections that were flushed those
// are reset that came to another pod.
func (b *binary) rerouted(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("testdata/script/chance.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out, errs, _ := b.script(t, "ten-by-chance", "-f", file)
	connections := scriptConnection.FindAllStringSubmatch(out, -1)
	if len(connections) != 10 || errs != "" {
		t.Errorf("%d connections of 10\n%s%s", len(connections), out, errs)
	}
	for _, c := range connections {
		want := "survived"
		if strings.Contains(c[2], ", then ") {
			want = "reset"
		}
		if c[1] != want {
			t.Errorf("%s, want %s", c[0], want)
		}
	}
}

// namesIn are the scenarios of a file.
func namesIn(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := scenario.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range lib.Scenarios {
		names = append(names, s.Name)
	}
	return names
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// script prints a scenario's script with ctsim, saves it and runs it.
func (b *binary) script(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	defer cancel()
	cmd := b.scriptCommand(ctx, t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = systemtest.ExitCode(t, cmd.Run())
	return out.String(), errs.String(), code
}

func (b *binary) scriptCommand(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	text, stderr, code := b.Run(t, append([]string{"script"}, args...)...)
	if code != 0 {
		t.Fatalf("ctsim script: exit code %d\n%s", code, stderr)
	}
	file := filepath.Join(filepath.Dir(b.Path), args[0]+".sh")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := b.Command(ctx, file)
	cmd.Path, cmd.Args = bash(t), []string{"bash", file}
	cmd.Env = append(cmd.Env, "CTSIM="+b.Path)
	return cmd
}

func bash(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKernelKilledScriptLeavesNothing: the script's namespaces end with it, even by SIGKILL.
func TestKernelKilledScriptLeavesNothing(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		cmd := b.scriptCommand(context.Background(), t, "timeout-multi-backend")
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = read.Close() }()
		cmd.Stdout = write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = write.Close()
		systemtest.UntilWritten(t, read, "wait until")
		if len(b.Alive(t)) < 3 {
			t.Error("the mark does not find the script's programs")
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		b.LeavesNothing(t, before)
	})
}

// TestKernelScriptWithoutCtsim: what is missing is said before anything is made.
func TestKernelScriptWithoutCtsim(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	cmd := b.scriptCommand(context.Background(), t, mainCase)
	cmd.Env = append(cmd.Env, "CTSIM=/nowhere/ctsim")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if code := systemtest.ExitCode(t, cmd.Run()); code != cmdline.ExitUnsupported || !strings.Contains(stderr.String(), "hint: CTSIM=") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}
