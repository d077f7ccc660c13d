package talk

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// patience is how long anything may take before a test gives up on it.
const patience = 60 * time.Second

// commands are a program of these two.
func commands(call *cmdline.Call) []*cli.Command {
	return []*cli.Command{ClientCommand(call), ServerCommand(call)}
}

// written collects what a command writes and lets a test wait for a line of it.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// until waits for a line and gives its submatches.
func (w *written) until(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if m := re.FindStringSubmatch(w.String()); m != nil {
			return m
		}
	}
	t.Fatalf("no line like %s in:\n%s", pattern, w)
	return nil
}

// typist is a program whose stdin a test types into.
type typist struct {
	io.WriteCloser
	out    *written
	cancel context.CancelCauseFunc
	code   chan int
}

func start(args ...string) *typist {
	ctx, cancel := context.WithCancelCause(context.Background())
	read, write := io.Pipe()
	p := &typist{WriteCloser: write, out: &written{}, cancel: cancel, code: make(chan int, 1)}
	go func() {
		call := cmdline.NewCall(append([]string{"ctsim"}, args...), read, p.out, p.out)
		p.code <- call.Run(ctx, call.App("ctsim", commands))
		_ = read.Close() // whoever types on is told
	}()
	return p
}

func (p *typist) say(lines ...string) {
	for _, l := range lines {
		_, _ = io.WriteString(p, l+"\n")
	}
}

func (p *typist) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case got := <-p.code:
		if got != code {
			t.Errorf("exit code %d, want %d:\n%s", got, code, p.out)
		}
	case <-time.After(patience):
		t.Errorf("it does not end:\n%s", p.out)
	}
}

// startServer starts one on a free port of the loopback and gives its address.
func startServer(t *testing.T, flags ...string) (*typist, string) {
	s := start(append([]string{"server", "127.0.0.1:0"}, flags...)...)
	t.Cleanup(func() {
		s.cancel(cmdline.Interruption{Signal: syscall.SIGINT})
		s.ends(t, 130)
	})
	return s, s.out.until(t, `^listening on (\S+)`)[1]
}

func TestClientAndServer(t *testing.T) {
	server, at := startServer(t)
	client := start("client", at, "--await")
	client.say("one")
	server.out.until(t, `^accept from \S+\n\S+ recv: 4 bytes "one\\n"$`)
	client.say("//two", "/state", "/say three", "/nonsense")
	client.out.until(t, `^connect \S+ from 127\.0\.0\.1:\d+$`)
	client.out.until(t, `^send: 4 bytes, success\nfate: acknowledged by the peer's kernel$`)
	client.out.until(t, `^state: ESTABLISHED, 0 unacked, 0 retransmits\nthree\nctsim: unknown command /nonsense$`)
	server.out.until(t, `^\S+ recv: 5 bytes "/two\\n"$`)
	_ = client.Close()
	client.ends(t, cmdline.ExitPass)
	server.out.until(t, `^\S+ recv: end of stream\n\S+ close$`)
}

// TestClientLoses: a connection that is lost is exit 1, whether a call has told or not.
func TestClientLoses(t *testing.T) {
	server, at := startServer(t, "--speak", "--keep-open")
	for name, end := range map[string]func(*typist){
		"send": func(c *typist) { c.say("one", "/wait", "two") },
		"end": func(c *typist) {
			c.say("one", "/wait")
			_ = c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := start("client", at)
			client.say("hello " + name) // not what the one before has said
			server.out.until(t, `recv: \d+ bytes "hello `+name+`\\n"`)
			server.say("/close", "/say closed "+name)
			server.out.until(t, "closed "+name)
			end(client)
			client.ends(t, cmdline.ExitFail)
			client.out.until(t, `(send|lost): (ECONNRESET|EPIPE) \(`)
		})
	}
}

// TestErrorThatWaits: what the kernel has to tell is told without a call, and a connection that it ended is lost.
func TestErrorThatWaits(t *testing.T) {
	server, at := startServer(t, "--speak", "--keep-open")
	client := start("client", at)
	client.say("/error", "hello")
	client.out.until(t, `error: none`)
	server.out.until(t, `recv: 6 bytes "hello\\n"`)
	server.say("/error", "/close", "/say closed")
	server.out.until(t, `\S+ error: none\n`)
	server.out.until(t, "closed")
	client.say("one", "/wait", "/error")
	client.out.until(t, `error: (ECONNRESET|EPIPE) \(`)
	client.ends(t, cmdline.ExitFail)
}

func TestServerSpeaks(t *testing.T) {
	server, at := startServer(t, "--speak")
	client := start("client", at, "--receive", "--connections", "2", "--timestamps")
	client.say("x")
	server.out.until(t, `recv: 4 bytes "2 x\\n"`)
	server.say("welcome", "/shutdown", "/stop")
	client.out.until(t, `^\d\d:\d\d:\d\d\.\d{6} 2 recv: 8 bytes "welcome\\n"$`)
	client.out.until(t, `^\S+ 1 recv: end of stream$`)
	server.out.until(t, `^close: listening socket$`)
	refused := start("client", at)
	refused.ends(t, cmdline.ExitFail)
	refused.out.until(t, `^connect \S+: ECONNREFUSED \(connection refused\)$`)
	client.cancel(cmdline.Interruption{Signal: syscall.SIGTERM})
	client.ends(t, 143)
}

func TestDatagrams(t *testing.T) {
	_, at := startServer(t, "--udp")
	client := start("client", at, "--udp", "--await")
	client.say("ping")
	client.out.until(t, `^recv: 5 bytes "ping\\n"$`)
	_ = client.Close()
	client.ends(t, cmdline.ExitPass)
}

// TestAddressesThatCannotBeHad: what the machine refuses is exit 3, with a command that tells more.
func TestAddressesThatCannotBeHad(t *testing.T) {
	_, at := startServer(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"server", at}, `EADDRINUSE \(address already in use\)\nhint: ss -tanp`},
		{[]string{"server", "192.0.2.1:1"}, `EADDRNOTAVAIL .*\nhint: ip -br address`},
		{[]string{"client", at, "--bind", "192.0.2.1"}, `EADDRNOTAVAIL .*\nhint: ip -br address`},
	} {
		p := start(c.args...)
		p.ends(t, cmdline.ExitUnsupported)
		p.out.until(t, c.want)
	}
}
