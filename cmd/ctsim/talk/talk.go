// Package talk is the article's two programs as commands, `ctsim client` and `ctsim server`, and what can be typed to them.
package talk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/probe/peer"
)

// invocation is a call of the command line with what the commands of this folder make of it.
type invocation struct{ *cmdline.Call }

// talkHelp is what client and server have in common.
const talkHelp = `A line that begins with / is not sent:
   /receive [TIME]   call recv(2) once, and wait up to TIME (5s)
   /shutdown         end this side's stream (FIN), and keep receiving
   /state            print what the kernel says about the socket: state, unacknowledged and retransmitted segments
   /error            take the error that waits on the socket for the next call (SO_ERROR), and print it
   /wait [TIME]      wait until the kernel has closed the socket, up to TIME (10m)
   /close            close the socket
   /say TEXT         print TEXT
A line that begins with // is sent without the first slash.`

// prompt is the article's.
const prompt = "please input: "

// talk is a person, or a script, that has sockets do what its lines say: each does it with all connections.
type talk struct {
	inv        *invocation
	timestamps bool
	// numbered puts the connection's number, or on a server its peer, before what is said of it.
	numbered, server, udp bool
	// await waits after each message, pause then sleeps.
	await     bool
	pause     time.Duration
	receiving bool
	// extra are commands of one side alone.
	extra map[string]func(words string) error

	mu    sync.Mutex
	conns []*peer.Conn
	// gone are connections that have failed or were closed; lost is true if one failed.
	gone map[*peer.Conn]bool
	lost bool
	// none is closed once there is no connection left that a client could use.
	none chan struct{}
}

func newTalk(inv *invocation, c *cli.Context, numbered bool) *talk {
	return &talk{inv: inv, numbered: numbered, timestamps: c.Bool("timestamps"), await: c.Bool("await"),
		pause: c.Duration("pause"), gone: map[*peer.Conn]bool{}, none: make(chan struct{})}
}

// report prints what a call gave.
func (t *talk) report(r peer.Report) {
	at := r.Began
	if at.IsZero() {
		at = r.Time
	}
	text := r.String()
	if timedOut(r.Err) && r.Call == peer.Recv {
		text = "recv: nothing came"
	}
	switch {
	case t.server && r.Call != peer.Accept:
		text = r.Remote.String() + " " + text
	case t.numbered && !t.server:
		text = fmt.Sprintf("%d %s", r.Connection, text)
	}
	t.say(at, text)
	if r.Err != nil && r.Call == peer.Connect {
		t.mu.Lock()
		t.lost = true
		t.mu.Unlock()
	}
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// say writes one line, whole: stdout is not buffered.
func (t *talk) say(at time.Time, text string) {
	if t.timestamps {
		text = at.Format("15:04:05.000000 ") + text
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.inv.Stdout, text+"\n") // an error ends the command's context
}

// of says something of one connection.
func (t *talk) of(c *peer.Conn, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case t.server:
		text = c.Remote().String() + " " + text
	case t.numbered:
		text = fmt.Sprintf("%d %s", c.ID(), text)
	}
	t.say(time.Now(), text)
}

func (t *talk) add(c *peer.Conn) { t.conns = append(t.conns, c) }

// live are the connections that are neither lost nor closed.
func (t *talk) live() []*peer.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.conns), func(c *peer.Conn) bool { return t.gone[c] })
}

// after takes a connection out if a call on it has failed for good.
func (t *talk) after(c *peer.Conn, err error) {
	if err == nil || t.udp || timedOut(err) || errors.Is(err, io.EOF) {
		return
	}
	t.leave(c, true)
}

func (t *talk) leave(c *peer.Conn, lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone[c] {
		return
	}
	t.gone[c] = true
	t.lost = t.lost || lost
	if len(t.gone) == len(t.conns) && !t.server {
		close(t.none)
	}
}

// run does what the lines of stdin say until they end, or no connection is left, or ctx ends.
func (t *talk) run(ctx context.Context) error {
	defer t.abandon()
	if len(t.conns) == 0 && !t.server {
		return errLost
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	lines, shown := t.lines(ctx)
	for {
		shown()
		select {
		case <-ctx.Done():
			return quietly(ctx)
		case <-t.none:
			return t.end()
		case line, ok := <-lines:
			if !ok {
				return t.end()
			}
			if err := t.do(ctx, line); err != nil {
				return err
			}
		}
	}
}

// lines reads stdin; shown prompts for the next line if a person types it.
func (t *talk) lines(ctx context.Context) (lines <-chan string, shown func()) {
	shown = func() {}
	if f, ok := t.inv.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		shown = func() { fmt.Fprint(t.inv.Stderr, prompt) }
	}
	out := make(chan string)
	go func() {
		defer close(out)
		in := bufio.NewReader(t.inv.Stdin)
		for {
			line, err := in.ReadString('\n')
			if line != "" {
				select {
				case out <- line:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return out, shown
}

// end is the end of the lines: connections that are still there are closed. One that the kernel has closed was lost
// although no call has told.
func (t *talk) end() error {
	for _, c := range t.live() {
		if state, err := c.State(); err == nil && state.Closed() {
			if err := c.PendingError(); err != nil {
				t.of(c, "lost: %s", peer.ErrnoText(err))
				t.leave(c, true)
				continue
			}
		}
		_ = c.Close() // reported
		t.leave(c, false)
	}
	if t.lost {
		return errLost
	}
	return nil
}

func (t *talk) abandon() {
	for _, c := range t.conns {
		c.Abandon()
	}
}

// receiveAll reads every connection to its end.
func (t *talk) receiveAll() {
	t.receiving = true
	for _, c := range t.conns {
		go func() {
			for {
				if _, err := c.Receive(receiveSize, time.Time{}); err != nil {
					t.after(c, err)
					return
				}
			}
		}()
	}
}

// receiveSize is the most that one recv takes.
const receiveSize = 4096

// do is one line.
func (t *talk) do(ctx context.Context, line string) error {
	text := strings.TrimRight(line, "\r\n")
	switch {
	case strings.HasPrefix(text, "//"):
		return t.send(ctx, line[1:])
	case strings.HasPrefix(text, "/"):
		return t.command(ctx, text)
	}
	return t.send(ctx, line)
}

func (t *talk) send(ctx context.Context, line string) error {
	conns := t.live()
	for _, c := range conns {
		message := line
		if t.numbered && !t.server {
			message = fmt.Sprintf("%d %s", c.ID(), line)
		}
		err := c.Send([]byte(message))
		t.after(c, err)
	}
	if t.await {
		for _, c := range t.live() {
			if err := t.fate(ctx, c); err != nil {
				return err
			}
		}
	}
	return sleep(ctx, t.pause)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return quietly(ctx)
	case <-time.After(d):
		return nil
	}
}
