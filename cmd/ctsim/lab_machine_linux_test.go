package main

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

// machine is a place to keep labs in that is a test's own, with ctsim to keep them. An ordinary user's labs are private
// as they are; root's are in a mount namespace whose /run is empty, so that those of the machine the test runs on are
// neither seen nor disturbed.
type machine struct {
	*binary
	enter []string // what brings a command there
	env   []string
}

func newMachine(t *testing.T, who caller) *machine {
	t.Helper()
	m := &machine{binary: newBinary(t, who)}
	dir := filepath.Join(m.tmp, "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, who.uid, who.uid); err != nil {
		t.Fatal(err)
	}
	// b.tmp is to be empty at the end; the folder is the machine's, not ctsim's.
	t.Cleanup(func() { _ = os.Remove(dir) })
	m.env = []string{"XDG_RUNTIME_DIR=" + dir}
	if who.uid == 0 {
		m.enter = []string{"nsenter", "--mount", "--target", strconv.Itoa(privateRun(t))}
	}
	t.Cleanup(func() {
		if out, errs, code := m.run(t, "lab", "down", "--all"); code != 0 {
			t.Errorf("lab down --all: exit code %d\n%s%s", code, out, errs)
		}
		if left := m.alive(t); len(left) > 0 {
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

// command is ctsim with arguments, on the machine.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	return m.other(ctx, append([]string{m.path}, args...)...)
}

// other is any command on the machine.
func (m *machine) other(ctx context.Context, words ...string) *exec.Cmd {
	words = append(append([]string{}, m.enter...), words...)
	cmd := m.binary.command(ctx)
	path, err := exec.LookPath(words[0])
	if err != nil {
		path = words[0]
	}
	cmd.Path, cmd.Args = path, words
	cmd.Env = append(cmd.Env, m.env...)
	return cmd
}

func (m *machine) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := m.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = exitCodeFrom(t, cmd.Run())
	return out.String(), errs.String(), code
}

// must runs a command line that has to succeed, and gives what it wrote to stdout.
func (m *machine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := m.run(t, args...)
	if code != 0 {
		t.Fatalf("ctsim %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// terminal is a command in a terminal of its own.
type terminal struct {
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

// open starts ctsim in a new terminal, which is closed with the test.
func (m *machine) open(t *testing.T, args ...string) *terminal {
	t.Helper()
	cmd := m.command(context.Background(), args...)
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
	x := &terminal{t: t, cmd: cmd, file: os.NewFile(uintptr(fd), "pty"), end: make(chan struct{})}
	go x.read()
	t.Cleanup(func() {
		x.hangUp()
		_ = cmd.Process.Kill()
		x.wait()
	})
	return x
}

// hangUp closes the terminal; what runs in it gets SIGHUP.
func (x *terminal) hangUp() { _ = x.file.Close() }

func (x *terminal) read() {
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

// wait gives the exit code.
func (x *terminal) wait() int {
	<-x.end
	x.once.Do(func() { x.code = exitCodeFrom(x.t, x.cmd.Wait()) })
	return x.code
}

// typed types a line.
func (x *terminal) typed(line string) {
	if _, err := io.WriteString(x.file, line+"\n"); err != nil {
		x.t.Fatal(err)
	}
}

// line waits for the next line in which all of the words are, and gives it.
func (x *terminal) line(words ...string) string {
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
