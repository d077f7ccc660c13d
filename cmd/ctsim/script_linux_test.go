package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// TestKernelScriptShowsTheSame: a scenario's script, run by itself, comes to what the run comes to, and leaves nothing.
func TestKernelScriptShowsTheSame(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		before := systemtest.LeavingsNow(t)
		t.Run("scripts", func(t *testing.T) {
			names := []string{mainCase, "flush-single-backend", "server-speaks-first", "endpoint-removed"}
			if b.Who.UID != 0 {
				names = []string{mainCase, "syn-sent-stuck", "invalid-not-dropped"}
			}
			for _, name := range names {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					stdout, _, code := b.Run(t, "run", name, "--output", "json")
					if code != 0 {
						t.Fatalf("the run: exit code %d\n%s", code, stdout)
					}
					out, errs, code := b.script(t, name)
					if want := "outcome: " + outcomesOf(t, stdout); code != 0 || errs != "" || lastLine(out) != want {
						t.Errorf("the script: exit code %d, want %s\n%s%s", code, want, out, errs)
					}
				})
			}
		})
		b.LeavesNothing(t, before)
	})
}

// outcomesOf is a run's summary in the words of a script's last line.
func outcomesOf(t *testing.T, document string) string {
	t.Helper()
	var result struct{ Summary map[string]int }
	if err := json.Unmarshal([]byte(document), &result); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, outcome := range []string{"hang", "refused", "reset", "survived", "timeout", "wrong-backend"} {
		if n := result.Summary[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(parts, ", ")
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
