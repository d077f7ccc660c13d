package library

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/scenario"
)

// TestStdin: what was read from stdin can be read once more by a ctsim in a user namespace.
func TestStdin(t *testing.T) {
	builtIn, err := BuiltIn()
	if err != nil || builtIn.Stdin() != nil || len(builtIn.Scenarios) == 0 {
		t.Fatalf("built in: %v, %v", builtIn, err)
	}
	text := string(builtIn.data)
	l, err := Read(cmdline.NewCall(nil, strings.NewReader(text), io.Discard, io.Discard), "-")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := io.ReadAll(l.Stdin()); err != nil || string(again) != text {
		t.Errorf("again: %d bytes, %v; want %d", len(again), err, len(text))
	}
}

// TestRead: what is no file, and what is none of scenarios, is told apart.
func TestRead(t *testing.T) {
	call := cmdline.NewCall(nil, strings.NewReader("- x"), io.Discard, io.Discard)
	for _, name := range []string{"", "/nonexistent/x.yaml", t.TempDir()} {
		var exit *cmdline.Exit
		if _, err := Read(call, name); !errors.As(err, &exit) || exit.Code != cmdline.ExitUsage || exit.Hint == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
	var problems scenario.Problems
	if _, err := Read(call, "-"); !errors.As(err, &problems) {
		t.Errorf("wrong scenarios: %v", err)
	}
}
