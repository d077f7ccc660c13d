package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeQEMU puts a shell script in qemu's place.
func fakeQEMU(t *testing.T, script string) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, qemu), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// say is a shell command that says a frame.
func say(k kind, payload string) string {
	return fmt.Sprintf(`printf '%c\000\000\000\%03o%s'; `, k, len(payload), payload)
}

// TestRun plays what may become of a guest: each comes to an exit code or to an error that says what happened, and nothing
// lasts longer than it may.
func TestRun(t *testing.T) {
	const hello = `printf '\000ctsim guest 1\n'; `
	words := `for a in "$@"; do case $a in file:*) echo "Linux version 6.1" >"${a#file:}";; esac; done; `
	for name, c := range map[string]struct {
		script string
		code   int
		err    string // empty: none
	}{
		"passes":             {words + hello + say(ready, "6.1") + say(stdout, "PASS") + say(alive, "") + say(ended, "0"), 0, ""},
		"fails":              {words + hello + say(ready, "6.1") + say(stderr, "why") + say(ended, "1"), 1, ""},
		"cannot":             {words + hello + say(ready, "6.1") + say(failed, "mount"), 0, "mount"},
		"panics":             {words + `for a in "$@"; do case $a in file:*) echo "Kernel panic" >>"${a#file:}";; esac; done`, 0, "the guest ended before the program did"},
		"dies half-way":      {words + hello + say(ready, "6.1") + "printf 'O\\0\\0\\0\\5ab'", 0, "the guest ended before the program did"},
		"never boots":        {words + "exec sleep 1000", 0, "silent for too long"},
		"hangs":              {words + hello + say(ready, "6.1") + say(stdout, "PASS") + "exec sleep 1000", 0, "silent for too long"},
		"noise":              {words + hello + say(ready, "6.1") + "printf '?\\000\\000\\000\\000'", 0, "noise"},
		"qemu itself":        {"echo 'no such machine' >&2; exit 1", 0, "no such machine"},
		"ends without a bye": {words + hello + say(ready, "6.1") + say(stdout, "PASS"), 0, "the guest ended before the program did"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeQEMU(t, c.script)
			var out, complaints bytes.Buffer
			code, err := Run(context.Background(), Job{Kernel: Kernel{Image: "/dev/null", Release: "6.1"}, Program: "/bin/true",
				Stdout: &out, Stderr: &complaints, boot: time.Second, silence: time.Second})
			if code != c.code || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d, %v; want %d, %q", code, err, c.code, c.err)
			}
			var no *CannotBoot
			if err != nil && !errors.As(err, &no) {
				t.Errorf("%v is no *CannotBoot", err)
			}
			if name == "panics" && !strings.Contains(no.Console, "Kernel panic") {
				t.Errorf("the last words are %q", no.Console)
			}
			if name == "passes" && out.String() != "PASS" || name == "fails" && complaints.String() != "why" {
				t.Errorf("stdout %q, stderr %q", &out, &complaints)
			}
		})
	}
}

// TestRunIsEnded: when the context ends so does the guest, and the error is the context's.
func TestRunIsEnded(t *testing.T) {
	fakeQEMU(t, "exec sleep 1000")
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
	_, err := Run(ctx, Job{Kernel: Kernel{Image: "/dev/null"}, Program: "/bin/true", Stdout: os.Stdout, Stderr: os.Stderr})
	if !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
}

// TestFind: what is neither a kernel nor the name of a package is refused, and says what is wanted.
func TestFind(t *testing.T) {
	for _, what := range []string{"nosuchfile", "/", "/etc/passwd", "linux-image; rm -rf x", "-o", ""} {
		if k, err := Find(context.Background(), what, t.TempDir()); err == nil || !strings.Contains(err.Error(), "want a") {
			t.Errorf("%q: %+v, %v", what, k, err)
		}
	}
}
