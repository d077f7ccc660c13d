package systemtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Machine is a place to keep labs in that is a test's own, with ctsim to keep them. An ordinary user's labs are private
// as they are; root's are in a mount namespace whose /run is empty, so that those of the machine the test runs on are
// neither seen nor disturbed.
type Machine struct {
	*Binary
	enter []string // what brings a command there
	// Env is what its processes have in their environment besides.
	Env []string
}

// ForEachMachine runs a test of labs as root and as an ordinary user.
func ForEachMachine(t *testing.T, test func(*testing.T, *Machine)) {
	for _, who := range Callers {
		t.Run(who.Name, func(t *testing.T) { test(t, NewMachine(t, who)) })
	}
}

// NewMachine is one of a user's, which is taken down with the test: nothing of its labs may be left then.
func NewMachine(t *testing.T, who Caller) *Machine {
	t.Helper()
	m := &Machine{Binary: NewBinary(t, who)}
	dir := filepath.Join(m.Tmp, "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, who.UID, who.UID); err != nil {
		t.Fatal(err)
	}
	// b.Tmp is to be empty at the end; the folder is the machine's, not ctsim's.
	t.Cleanup(func() { _ = os.Remove(dir) })
	m.Env = []string{"XDG_RUNTIME_DIR=" + dir}
	if who.UID == 0 {
		m.enter = []string{"nsenter", "--mount", "--target", strconv.Itoa(privateRun(t))}
	}
	t.Cleanup(func() {
		if out, errs, code := m.Run(t, "lab", "down", "--all"); code != 0 {
			t.Errorf("lab down --all: exit code %d\n%s%s", code, out, errs)
		}
		if left := m.Alive(t); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
	})
	return m
}

// privateRun is a process in a mount namespace with a /run of its own; it ends with the test, or the test's process.
func privateRun(t *testing.T) (pid int) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
		"mount -t tmpfs ctsim-test /run && echo ready && exec cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("no /run of its own: %v %s", err, &stderr)
	}
	return cmd.Process.Pid
}

// Command is ctsim with arguments, on the machine.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	return m.Other(ctx, append([]string{m.Path}, args...)...)
}

// Other is any command on the machine.
func (m *Machine) Other(ctx context.Context, words ...string) *exec.Cmd {
	words = append(append([]string{}, m.enter...), words...)
	cmd := m.Binary.Command(ctx)
	path, err := exec.LookPath(words[0])
	if err != nil {
		path = words[0]
	}
	cmd.Path, cmd.Args = path, words
	cmd.Env = append(cmd.Env, m.Env...)
	return cmd
}

// Run gives what ctsim wrote on the machine and its exit code, 128 and the signal if one ended it.
func (m *Machine) Run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return output(t, m.Command, args)
}

// Must runs a command line that has to succeed, and gives what it wrote to stdout.
func (m *Machine) Must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := m.Run(t, args...)
	if code != 0 {
		t.Fatalf("ctsim %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// Terminal is a command in a terminal of its own.
type Terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	file *os.File

	mu   sync.Mutex
	text strings.Builder
	seen int
	end  chan struct{}
	once sync.Once
	code int
}

// Open starts ctsim in a new terminal, which is closed with the test.
func (m *Machine) Open(t *testing.T, args ...string) *Terminal {
	t.Helper()
	cmd := m.Command(context.Background(), args...)
	cmd.SysProcAttr.Setpgid = false // it gets a session, which is more
	started, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	// A file that the runtime may wait for can be closed while it is read; this one cannot.
	fd, err := unix.FcntlInt(started.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.SetNonblock(fd, true), started.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	x := &Terminal{t: t, cmd: cmd, file: os.NewFile(uintptr(fd), "pty"), end: make(chan struct{})}
	go x.read()
	t.Cleanup(func() {
		x.HangUp()
		_ = cmd.Process.Kill()
		x.Wait()
	})
	return x
}

// HangUp closes the terminal; what runs in it gets SIGHUP.
func (x *Terminal) HangUp() { _ = x.file.Close() }

func (x *Terminal) read() {
	defer close(x.end)
	buf := make([]byte, 4096)
	for {
		n, err := x.file.Read(buf)
		x.mu.Lock()
		x.text.Write(buf[:n])
		x.mu.Unlock()
		if err != nil { // EIO when the last process has closed it
			return
		}
	}
}

// Wait gives the exit code.
func (x *Terminal) Wait() int {
	<-x.end
	x.once.Do(func() { x.code = ExitCode(x.t, x.cmd.Wait()) })
	return x.code
}

// Typed types a line.
func (x *Terminal) Typed(line string) {
	if _, err := io.WriteString(x.file, line+"\n"); err != nil {
		x.t.Fatal(err)
	}
}

// Line waits for the next line in which all of the words are, and gives it.
func (x *Terminal) Line(words ...string) string {
	x.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		x.mu.Lock()
		rest := x.text.String()[x.seen:]
		x.mu.Unlock()
		passed := 0
		for line := range strings.Lines(rest) {
			if !strings.HasSuffix(line, "\n") {
				break
			}
			passed += len(line)
			if containsAll(line, words) {
				x.seen += passed
				return strings.TrimSpace(line)
			}
		}
		if time.Now().After(end) {
			x.t.Fatalf("no line with %q came in:\n%s", words, rest)
		}
	}
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
