package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// noSpace is what stderr says of a stdout that is full.
const noSpace = "ctsim: stdout: no space left on device\n"

// printing are command lines that print something, at least one for each command there is; or it is in printingInLab.
var printing = map[string][]string{
	"run":        {"run flush-single-backend", "run flush-single-backend -q", "run flush-single-backend -o json", "run flush-single-backend -o jsonl", "run flush-single-backend -o markdown"},
	"list":       {"list", "list -o json", "list -o name"},
	"show":       {"show flush-multi-backend", "show flush-multi-backend --rules"},
	"script":     {"script flush-multi-backend"},
	"validate":   {"validate ../../scenarios.yaml"},
	"schema":     {"schema"},
	"try":        {"try --print --client true"},
	"client":     {"client 127.0.0.1:1"},
	"server":     {"server 127.0.0.1:0", "server 127.0.0.1:0 --udp", "server 127.0.0.1:0 --speak"},
	"lab":        {"lab"},
	"doctor":     {"doctor veth", "doctor veth -o json"},
	"audit":      {"audit", "audit -q", "audit -o json", "audit --watch", "audit --watch -o json"},
	"clean":      {"clean --dry-run"},
	"version":    {"version", "version -o json", "--version"},
	"completion": {"completion bash", "completion zsh", "completion fish"},
	"man":        {"man"},
	"__complete": {"__complete -- r"},
}

// printingInLab are those that need a lab, which the last of them takes away.
var printingInLab = []struct{ name, line string }{
	{"lab up", "lab up other"},
	{"lab list", "lab list"},
	{"lab list", "lab list -o json"},
	{"lab list", "lab list -o name"},
	{"lab exec", "lab exec --lab default client -- echo x"},
	{"lab shell", "lab shell --lab default client"},
	{"lab events", "lab events --lab default"},
	{"lab events", "lab events --lab default -o jsonl"},
	{"lab flush", "lab flush --lab default"},
	{"lab table", "lab table --lab default -o json"},
	{"lab sockets", "lab sockets --lab default -o json"},
	{"lab rules", "lab rules --lab default"},
	{"lab capture", "lab capture --lab default"},
	{"lab capture", "lab capture --lab default --write -"},
	{"lab capture", "lab capture --lab default --write /dev/full"},
	{"lab backends", "lab backends --lab default"},
	{"lab backends", "lab backends --lab default -o json"},
	{"lab backends", "lab backends add --lab default"},
	{"lab backends", "lab backends remove server-1 --lab default"},
	{"lab hold", "lab hold x y"},
	{"lab down", "lab down --all"},
}

// TestEveryCommandIsInTheTable: without its line in a table a command is not tested.
func TestEveryCommandIsInTheTable(t *testing.T) {
	app := newApp(cmdline.NewCall(nil, nil, io.Discard, io.Discard))
	names := namesOf(allCommands(app.Commands))
	if left := withoutLines(names); len(left) > 0 {
		t.Errorf("no line in printing or printingInLab for %v", left)
	}
	if left := withoutLines(append(names, "brew")); !slices.Equal(left, []string{"brew"}) {
		t.Errorf("a new command is not missed: %v", left)
	}
	lined := slices.Collect(maps.Keys(printing))
	for _, l := range printingInLab {
		lined = append(lined, l.name)
	}
	for _, name := range lined {
		if !slices.Contains(names, name) {
			t.Errorf("there is no command %q", name)
		}
	}
}

func namesOf(all []named) (names []string) {
	for _, c := range all {
		names = append(names, c.name)
	}
	return names
}

// withoutLines are the commands that neither table has a line for.
func withoutLines(names []string) []string {
	lined := func(name string) bool {
		return len(printing[name]) > 0 || slices.ContainsFunc(printingInLab, func(l struct{ name, line string }) bool { return l.name == name })
	}
	return slices.DeleteFunc(slices.Clone(names), lined)
}

// TestStdoutThatFails: what could not be written is told, and is no success, whatever the command is.
func TestStdoutThatFails(t *testing.T) {
	lines := []string{"", "help", "--help"}
	for _, each := range printing {
		lines = append(lines, each...)
	}
	app := newApp(cmdline.NewCall(nil, nil, io.Discard, io.Discard))
	for _, name := range namesOf(allCommands(app.Commands)) {
		lines = append(lines, name+" --help", "help "+name)
	}
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			if strings.HasPrefix(line, "run flush") && !systemtest.HaveKernel(t) {
				t.Skip("kernel tests need root or `unshare -Urnm`")
			}
			ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
			defer cancel()
			var stderr bytes.Buffer
			code := run(ctx, append([]string{"ctsim"}, strings.Fields(line)...), strings.NewReader(""), openFull(t), &stderr)
			if code == cmdline.ExitPass || !strings.Contains(stderr.String(), noSpace) || ctx.Err() != nil {
				t.Errorf("exit code %d, stderr %q", code, &stderr)
			}
		})
	}
}

// TestKernelLabStdoutThatFails is TestStdoutThatFails for the commands of a lab, while a client in it connects again and
// again.
func TestKernelLabStdoutThatFails(t *testing.T) {
	systemtest.ForEachMachine(t, func(t *testing.T, m *systemtest.Machine) {
		m.Must(t, "lab", "up")
		traffic := m.Command(context.Background(), "lab", "exec", "client", "--", "sh", "-c",
			"while "+m.Path+" client 10.108.33.37; test $? = 1; do sleep 0.1; done </dev/null >/dev/null 2>&1")
		if err := traffic.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = traffic.Process.Kill(); _ = traffic.Wait() })
		for _, c := range printingInLab {
			t.Run(c.line, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
				defer cancel()
				cmd := m.Command(ctx, strings.Fields(c.line)...)
				var stderr bytes.Buffer
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("/bin/echo x\n"), openFull(t), &stderr // what the shell runs
				code := systemtest.ExitCode(t, cmd.Run())
				told := strings.Contains(strings.ToLower(stderr.String()), "no space left on device")
				if code == cmdline.ExitPass || !told && c.name != "lab hold" || ctx.Err() != nil {
					t.Errorf("exit code %d, stderr %q", code, &stderr)
				}
			})
		}
	})
}

// openFull is a file with no room.
func openFull(t *testing.T) *os.File {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	return full
}

// TestKernelReaderOfHelpGoesAway: `ctsim help | head -1` ends by SIGPIPE, without a word, as other programs do.
func TestKernelReaderOfHelpGoesAway(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	defer func() { _ = write.Close() }()
	for _, line := range []string{"help", "list", "man"} {
		cmd := b.Command(context.Background(), line)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = write, &stderr
		if code := systemtest.ExitCode(t, cmd.Run()); code != 128+int(syscall.SIGPIPE) || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, stderr %q", line, code, &stderr)
		}
	}
}
