package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// TestEmptyFileNames: a name that came out empty, of a variable that is not set for instance, is wrong usage wherever a
// file or a folder is named, and never means something else.
func TestEmptyFileNames(t *testing.T) {
	// operands are what a command needs besides.
	operands := map[string][]string{
		"run": {"flush-multi-backend"}, "show": {"flush-multi-backend"}, "script": {"flush-multi-backend"}, "try": {"--client", "true"},
	}
	app := newApp(cmdline.NewCall(nil, nil, io.Discard, io.Discard))
	tried := 0
	for _, c := range allCommands(app.Commands) {
		command := strings.Fields(c.name)
		for _, f := range c.Flags {
			d, ok := f.(cli.DocGenerationFlag)
			if !ok || !namesFile(d.GetUsage()) {
				continue
			}
			for _, name := range f.Names() {
				dashes := strings.Repeat("-", min(2, len(name)))
				refused(t, append(append(append([]string{}, command...), operands[c.name]...), dashes+name, ""))
				refused(t, append(append(append([]string{}, command...), operands[c.name]...), dashes+name+"="))
				tried++
			}
		}
		if namesFile("`" + strings.Trim(c.ArgsUsage, "[]…") + "`") {
			refused(t, append(command, ""))
			tried++
		}
	}
	if want := 16; tried < want {
		t.Errorf("%d flags and operands name files, want %d or more", tried, want)
	}
	refused(t, []string{"lab", "down", ""})
	refused(t, []string{"lab", "flush", "--lab", ""})
	refused(t, []string{"lab", "backends", "--lab="})
}

// namesFile tells by a flag's usage whether its value names a file or folder.
func namesFile(usage string) bool { return regexp.MustCompile("`(FILE|DIR)`").MatchString(usage) }

func refused(t *testing.T, args []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), append([]string{"ctsim"}, args...), strings.NewReader(""), &stdout, &stderr)
	if code != cmdline.ExitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), "\nhint: ") {
		t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, code, &stdout, &stderr)
	}
}
