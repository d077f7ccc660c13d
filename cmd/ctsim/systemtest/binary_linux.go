// Package systemtest is for tests of ctsim as users have it: a file that root and an ordinary user execute, on a machine of
// its own, which has to be afterwards as it was before.
package systemtest

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
)

// Patience is how long anything may take before a test gives up on it. Building a world usually takes a tenth of a
// second, but a busy machine has its spells.
const Patience = 60 * time.Second

// Nobody is the user that has no privileges.
const Nobody = 65534

// Caller is a user who calls ctsim: root, or nobody, whom ctsim takes into a user namespace.
type Caller struct {
	Name string
	UID  int
}

// Callers are the two whom everything has to work for.
var Callers = []Caller{{"root", 0}, {"nobody", Nobody}}

// ForEachCaller runs a test as root and as an ordinary user.
func ForEachCaller(t *testing.T, test func(*testing.T, *Binary)) {
	for _, who := range Callers {
		t.Run(who.Name, func(t *testing.T) { test(t, NewBinary(t, who)) })
	}
}

// ForEachCallerAtOnce is ForEachCaller, the two and other such tests side by side. What they look at has to be their own.
func ForEachCallerAtOnce(t *testing.T, test func(*testing.T, *Binary)) {
	t.Parallel()
	ForEachCaller(t, func(t *testing.T, b *Binary) {
		t.Parallel()
		test(t, b)
	})
}

// HaveKernel tells whether worlds can be built. Where they must be, a machine that cannot is a failure.
func HaveKernel(t *testing.T) bool {
	if os.Geteuid() == 0 {
		return true
	}
	if os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" {
		t.Fatal("kernel test not run as root")
	}
	return false
}

// Binary is ctsim as a file that everybody may execute. Processes it starts, and theirs, carry its mark in their
// environment, so that what is left of them can be found without going by names.
type Binary struct {
	Path string
	mark string
	Tmp  string // TMPDIR of its processes
	Who  Caller
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
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "github.com/ctsim/ctsim/cmd/ctsim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "ctsim"))
})

// NewBinary puts ctsim where every user may execute it. It skips where there is no kernel to work with.
func NewBinary(t *testing.T, who Caller) *Binary {
	t.Helper()
	if !HaveKernel(t) {
		t.Skip("kernel tests need root or `unshare -Urnm`")
	}
	if who.UID != 0 && !Mapped(t, who.UID) {
		t.Skipf("uid %d does not exist in this user namespace", who.UID)
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
	b := &Binary{Path: filepath.Join(dir, "ctsim"), Tmp: tmp, Who: who}
	b.mark = fmt.Sprintf("CTSIM_TEST_MARK=%d.%d", os.Getpid(), marks.Add(1))
	if err := os.WriteFile(b.Path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// Mapped tells whether a uid of this name exists in the user namespace the test runs in.
func Mapped(t *testing.T, uid int) bool {
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

// Command is ctsim with arguments, as its user calls it.
func (b *Binary) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.Path, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), b.mark, "TMPDIR="+b.Tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if b.Who.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(b.Who.UID), Gid: uint32(b.Who.UID)}
	}
	return cmd
}

// Run gives what a command line wrote and its exit code, 128 and the signal if one ended it.
func (b *Binary) Run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return output(t, b.Command, args)
}

// output is what a command wrote and its exit code; it has to end before somebody would lose patience.
func output(t *testing.T, command func(context.Context, ...string) *exec.Cmd, args []string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = ExitCode(t, cmd.Run())
	return out.String(), errs.String(), code
}

// ExitCode is what a shell shows of how a command ended.
func ExitCode(t *testing.T, err error) int {
	t.Helper()
	var exited *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exited):
		t.Errorf("not started: %v", err)
		return -1
	}
	if status := exited.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exited.ExitCode()
}

// Alive are the processes that carry the binary's mark, but for those that have ended and only wait to be reaped.
func (b *Binary) Alive(t *testing.T) []string {
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

// LeavesNothing fails if anything of the binary's processes is left: a process, a file, a mounted namespace, a link.
// A namespace without a process, a descriptor or a mount that holds it does not exist any more.
func (b *Binary) LeavesNothing(t *testing.T, before Leavings) {
	t.Helper()
	Eventually(t, "processes are left", func() any { return b.Alive(t) }, func(v any) bool { return len(v.([]string)) == 0 })
	files, err := filepath.Glob(filepath.Join(b.Tmp, "*"))
	if err != nil || len(files) > 0 {
		t.Errorf("files are left: %v %v", files, err)
	}
	Eventually(t, "namespaces or links are left", func() any { return LeavingsNow(t) }, func(v any) bool { return v == before })
}

// Eventually polls until a fact is as it should be.
func Eventually(t *testing.T, complaint string, get func() any, good func(any) bool) {
	t.Helper()
	var got any
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = get(); good(got) {
			return
		}
	}
	t.Errorf("%s: %+v", complaint, got)
}

// Started starts a command and gives what it writes to stderr, to be read until the end of the test.
func Started(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	return read
}

// UntilWritten reads until a text has come by, and goes on to read the rest in the background.
func UntilWritten(t *testing.T, r io.Reader, text string) {
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
