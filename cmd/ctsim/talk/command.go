package talk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/peer"
)

// command is a line that begins with /. One that makes no sense is complained of, and the next line is awaited.
func (t *talk) command(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(strings.TrimPrefix(line, "/"), " ")
	rest = strings.TrimSpace(rest)
	timed := func(do func(context.Context, *peer.Conn, time.Duration) error, limit time.Duration) error {
		if rest != "" {
			d, err := time.ParseDuration(rest)
			if err != nil || d <= 0 {
				t.inv.Complain(fmt.Sprintf("/%s %s: expected a duration like 500ms, 3s or 2h", word, rest), "")
				return nil
			}
			limit = d
		}
		return t.each(func(c *peer.Conn) error { return do(ctx, c, limit) })
	}
	switch word {
	case "receive":
		if t.receiving || t.server {
			t.inv.Complain("/receive: everything is received already", "")
			return nil
		}
		return timed(t.receive, 5*time.Second)
	case "wait":
		return timed(t.closed, 10*time.Minute)
	case "shutdown":
		return t.each(func(c *peer.Conn) error {
			t.after(c, c.CloseWrite())
			if t.await {
				return t.fate(ctx, c)
			}
			return nil
		})
	case "state":
		return t.each(t.state)
	case "error":
		return t.each(t.pending)
	case "close":
		return t.each(func(c *peer.Conn) error {
			_ = c.Close() // reported
			t.leave(c, false)
			return nil
		})
	case "say":
		t.say(time.Now(), rest)
		return nil
	case "help", "?":
		fmt.Fprintln(t.inv.Stderr, talkHelp)
		return nil
	}
	if extra := t.extra[word]; extra != nil {
		return extra(rest)
	}
	t.inv.Complain(fmt.Sprintf("unknown command /%s", word), "/help, or begin the line with // to send it")
	return nil
}

func (t *talk) each(do func(*peer.Conn) error) error {
	for _, c := range t.live() {
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *talk) receive(_ context.Context, c *peer.Conn, limit time.Duration) error {
	_, err := c.Receive(receiveSize, time.Now().Add(limit)) // reported
	t.after(c, err)
	return nil
}

func (t *talk) state(c *peer.Conn) error {
	if t.udp {
		t.of(c, "state: a datagram socket has none")
		return nil
	}
	state, err := c.State()
	if err != nil {
		return err
	}
	t.of(c, "state: %s, %d unacked, %d retransmits", state.State, state.Unacked, state.Retransmits)
	return nil
}

// pending takes the error that waits on a socket for the program's next call, and prints it. Where the kernel has closed
// the socket, the connection is lost by it.
func (t *talk) pending(c *peer.Conn) error {
	state, err := c.State()
	if err != nil {
		return err
	}
	waits := c.PendingError()
	if waits == nil {
		t.of(c, "error: none")
		return nil
	}
	t.of(c, "error: %s", peer.ErrnoText(waits))
	if state.Closed() {
		t.leave(c, true)
	}
	return nil
}

// closed waits until the kernel has closed the socket, and says why.
func (t *talk) closed(ctx context.Context, c *peer.Conn, limit time.Duration) error {
	closed, err := t.until(ctx, c, limit, peer.SocketState.Closed)
	switch {
	case err != nil:
		return err
	case !closed:
		t.of(c, "wait: not closed within %s", limit)
	default:
		t.of(c, "wait: closed by the kernel")
	}
	return nil
}

// The fates of a message, as a script greps for them.
const (
	acknowledged = "acknowledged by the peer's kernel"
	unanswered   = "unanswered, sent again twice"
	overtaken    = "the socket is closed by the kernel"
	noAnswer     = "no answer"
)

// answerWithin is how long a datagram's answer may take: a hundred times what it takes between namespaces.
const answerWithin = 200 * time.Millisecond

// fate waits until it is known what became of the last message, and says so.
func (t *talk) fate(ctx context.Context, c *peer.Conn) error {
	if t.udp {
		_, err := c.Receive(receiveSize, time.Now().Add(answerWithin)) // reported
		if err != nil {
			t.of(c, "fate: %s", noAnswer)
		}
		return nil
	}
	var last peer.SocketState
	_, err := t.until(ctx, c, 10*time.Minute, func(s peer.SocketState) bool {
		last = s
		return s.Closed() || s.Unacked == 0 && s.NotSent == 0 || triedTwice(s)
	})
	switch {
	case err != nil:
		return err
	case last.Closed():
		t.of(c, "fate: %s", overtaken)
	case triedTwice(last):
		t.of(c, "fate: %s", unanswered)
	default:
		t.of(c, "fate: %s", acknowledged)
	}
	return nil
}

// triedTwice tells whether the kernel has tried twice again to send what it holds; a rule of its own machine may be what it
// fails at.
func triedTwice(s peer.SocketState) bool { return s.Retransmits >= 2 || s.Withheld() && s.Probes >= 2 }

// until polls a socket until a fact holds, or time is up. A socket that is gone is closed.
func (t *talk) until(ctx context.Context, c *peer.Conn, limit time.Duration,
	holds func(peer.SocketState) bool) (bool, error) {
	end := time.Now().Add(limit)
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		state, err := c.State()
		if err != nil {
			state = peer.SocketState{State: "CLOSE"}
		}
		if holds(state) {
			return true, nil
		}
		if time.Now().After(end) {
			return false, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return false, err
		}
	}
}
