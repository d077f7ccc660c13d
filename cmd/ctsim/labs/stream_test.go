package labs

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// closing is a file whose Close ends with an error.
type closing struct {
	io.Writer
	err    error
	closed int
}

func (c *closing) Close() error { c.closed++; return c.err }

// TestIntoTellsOfClose: the capture ended by Ctrl-C, and the file is not whole.
func TestIntoTellsOfClose(t *testing.T) {
	noSpace := errors.New("no space left on device")
	for _, end := range []error{nil, &cmdline.Exit{Code: 130}} {
		for _, closeErr := range []error{nil, noSpace} {
			f := &closing{Writer: io.Discard, err: closeErr}
			err := into(f, func(io.Writer) error { return end })
			if f.closed != 1 || errors.Is(err, noSpace) != (closeErr != nil) || end != nil && !errors.Is(err, end) {
				t.Errorf("ended by %v, closed with %v: %v", end, closeErr, err)
			}
		}
	}
}

// noRoom takes nothing.
type noRoom struct{}

func (noRoom) Write([]byte) (int, error) { return 0, errNoRoom }

var errNoRoom = errors.New("no room")

// TestLinesKeepTheFirstError: also that of a line that comes when the stream has ended already, and it is told once.
func TestLinesKeepTheFirstError(t *testing.T) {
	quiet, wrapped := &cmdline.Exit{Code: 130}, fmt.Errorf("pcapng: %w", errNoRoom)
	for _, c := range []struct {
		fail      func(*lines)
		end, want error
		text      string
	}{
		{func(*lines) {}, quiet, quiet, ""},
		{func(l *lines) { l.write("a"); l.fail(quiet) }, nil, errNoRoom, "no room"},
		{func(l *lines) { l.fail(errNoRoom); l.write("a") }, errNoRoom, errNoRoom, "no room"},
		{func(l *lines) { l.fail(wrapped) }, errNoRoom, wrapped, "pcapng: no room"},
		{func(l *lines) { l.write("late") }, quiet, errNoRoom, "\nno room"},
	} {
		l := newLines(noRoom{})
		c.fail(l)
		if got := l.and(c.end); !errors.Is(got, c.want) || got.Error() != c.text {
			t.Errorf("ended by %v: %q, want %q", c.end, got, c.text)
		}
	}
}
