package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// patience is how long anything may take before a test gives up on it. Building a world usually takes a tenth of a
// second, but a busy machine has its spells.
const patience = 60 * time.Second

// nobody is the user that has no privileges.
const nobody = 65534

// caller is a user who calls ctsim: root, or nobody, whom ctsim takes into a user namespace.
type caller struct {
	name string
	uid  int
}

var callers = []caller{{"root", 0}, {"nobody", nobody}}

// forEachCaller runs a test as root and as an ordinary user.
func forEachCaller(t *testing.T, test func(*testing.T, *binary)) {
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) { test(t, newBinary(t, who)) })
	}
}

// forEachCallerAtOnce is forEachCaller, the two and other such tests side by side. What they look at has to be their own.
func forEachCallerAtOnce(t *testing.T, test func(*testing.T, *binary)) {
	t.Parallel()
	forEachCaller(t, func(t *testing.T, b *binary) {
		t.Parallel()
		test(t, b)
	})
}

// binary is ctsim as a file that everybody may execute. Processes it starts, and theirs, carry its mark in their
// environment, so that what is left of them can be found without going by names.
type binary struct {
	path string
	mark string
	tmp  string // TMPDIR of its processes
	who  caller
}

var marks atomic.Int64

// built is ctsim as users have it. The test's own binary would do, but with the race detector in it a start takes
// several times as long, and a hundred runs more than all other tests together.
var built = sync.OnceValues(func() (data []byte, err error) {
	dir, err := os.MkdirTemp("", "ctsim-test-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "ctsim"))
})

// newBinary puts ctsim where every user may execute it. It skips where there is no kernel to work with.
func newBinary(t *testing.T, who caller) *binary {
	t.Helper()
	if !haveKernel(t) {
		t.Skip("kernel tests need root or `unshare -Urnm`")
	}
	if who.uid != 0 && !mapped(t, who.uid) {
		t.Skipf("uid %d does not exist in this user namespace", who.uid)
	}
	data, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, tmp := t.TempDir(), t.TempDir()
	// A test's folder is for its user only; this one is for all.
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, tmp: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	b := &binary{path: filepath.Join(dir, "ctsim"), tmp: tmp, who: who}
	b.mark = fmt.Sprintf("CTSIM_TEST_MARK=%d.%d", os.Getpid(), marks.Add(1))
	if err := os.WriteFile(b.path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// mapped tells whether a uid of this name exists in the user namespace the test runs in.
func mapped(t *testing.T, uid int) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && uid >= inside && uid < inside+count {
			return true
		}
	}
	return false
}

func (b *binary) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), b.mark, "TMPDIR="+b.tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if b.who.uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(b.who.uid), Gid: uint32(b.who.uid)}
	}
	return cmd
}

// run gives what a command line wrote and its exit code, 128 and the signal if one ended it.
func (b *binary) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := b.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = exitCodeFrom(t, cmd.Run())
	return out.String(), errs.String(), code
}

func exitCodeFrom(t *testing.T, err error) int {
	t.Helper()
	var exited *exec.ExitError
	switch {
	case err == nil:
		return cmdline.ExitPass
	case !errors.As(err, &exited):
		t.Errorf("not started: %v", err)
		return -1
	}
	if status := exited.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exited.ExitCode()
}

// alive are the processes that carry the binary's mark, but for those that have ended and only wait to be reaped.
func (b *binary) alive(t *testing.T) []string {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range environs {
		// A zombie's environment is empty, one that has gone cannot be read.
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(append([]byte{0}, data...), []byte("\x00"+b.mark+"\x00")) {
			found = append(found, path)
		}
	}
	return found
}

// leavesNothing fails if anything of the binary's processes is left: a process, a file, a mounted namespace, a link.
// A namespace without a process, a descriptor or a mount that holds it does not exist any more.
func (b *binary) leavesNothing(t *testing.T, before leavings) {
	t.Helper()
	eventually(t, "processes are left", func() any { return b.alive(t) }, func(v any) bool { return len(v.([]string)) == 0 })
	files, err := filepath.Glob(filepath.Join(b.tmp, "*"))
	if err != nil || len(files) > 0 {
		t.Errorf("files are left: %v %v", files, err)
	}
	eventually(t, "namespaces or links are left", func() any { return leavingsNow(t) }, func(v any) bool { return v == before })
}

// eventually polls until a fact is as it should be.
func eventually(t *testing.T, complaint string, get func() any, good func(any) bool) {
	t.Helper()
	var got any
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = get(); good(got) {
			return
		}
	}
	t.Errorf("%s: %+v", complaint, got)
}

// untilWritten reads until a text has come by, and goes on to read the rest in the background.
func untilWritten(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), text) {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			t.Fatalf("%q did not come: %s", text, &seen)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
}
