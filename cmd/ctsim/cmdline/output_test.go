package cmdline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"
)

// full is a writer that takes some bytes and then no more.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	n := min(f.room, len(b))
	f.room -= n
	if n < len(b) {
		return n, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
	}
	return n, nil
}

// TestOutputRemembers: the first error is the one, and nothing is written after it.
func TestOutputRemembers(t *testing.T) {
	w := &full{room: 5}
	o := NewOutput(w)
	failures := 0
	o.OnFailure(func(error) { failures++ })
	for range 3 {
		_, _ = io.WriteString(o, "four")
	}
	w.room = 100
	if n, err := io.WriteString(o, "x"); n != 0 || !errors.Is(err, syscall.ENOSPC) || w.room != 100 || failures != 1 {
		t.Errorf("wrote %d, %v; room %d, told %d times", n, err, w.room, failures)
	}
	if err := o.Err(); err == nil || err.Error() != "stdout: no space left on device" {
		t.Errorf("error %v", err)
	}
	if o = NewOutput(&full{room: 5}); o.Err() != nil {
		t.Errorf("without a write: %v", o.Err())
	}
}

// TestRunTellsLostOutput: a write that was lost decides the exit code if nothing else does, and is always told.
func TestRunTellsLostOutput(t *testing.T) {
	for _, c := range []struct {
		name string
		room int
		do   func(context.Context, io.Writer) error
		code int
		said string
	}{
		{"nothing lost", 4, func(_ context.Context, w io.Writer) error { fmt.Fprint(w, "four"); return nil }, ExitPass, ""},
		{"ignored", 3, func(_ context.Context, w io.Writer) error { fmt.Fprint(w, "four"); return nil },
			ExitUnsupported, "ctsim: stdout: no space left on device\n"},
		{"handed on", 3, func(_ context.Context, w io.Writer) error {
			_, err := fmt.Fprint(w, "four")
			return fmt.Errorf("the list: %w", err)
		}, ExitUnsupported, "ctsim: the list: stdout: no space left on device\n"},
		{"another error first", 3, func(_ context.Context, w io.Writer) error {
			fmt.Fprint(w, "four")
			return NewExit(ExitFail, "not as expected", "")
		}, ExitFail, "ctsim: not as expected\nctsim: stdout: no space left on device\n"},
		{"it goes on for ever", 3, func(ctx context.Context, w io.Writer) error {
			fmt.Fprint(w, "four")
			<-ctx.Done()
			return ctx.Err()
		}, ExitUnsupported, "ctsim: stdout: no space left on device\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			call := NewCall([]string{"ctsim", "do"}, strings.NewReader(""), &full{room: c.room}, &stderr)
			app := call.App("ctsim", func(inv *Call) []*cli.Command {
				return []*cli.Command{{Name: "do", Action: func(cc *cli.Context) error { return c.do(cc.Context, inv.Stdout) }}}
			})
			if code := call.Run(context.Background(), app); code != c.code || stderr.String() != c.said {
				t.Errorf("exit code %d, want %d; stderr %q, want %q", code, c.code, &stderr, c.said)
			}
		})
	}
}

// TestReportHearsWhatIsJoined: a quiet end, by a signal for instance, does not hide what went wrong at the same time.
func TestReportHearsWhatIsJoined(t *testing.T) {
	quiet, lost := &Exit{Code: 130}, errors.New("close: input/output error")
	for _, c := range []struct {
		err  error
		code int
		said string
	}{
		{quiet, 130, ""},
		{errors.Join(quiet, nil), 130, ""},
		{errors.Join(quiet, lost), ExitUnsupported, "ctsim: close: input/output error\n"},
		{errors.Join(lost, quiet), ExitUnsupported, "ctsim: close: input/output error\n"},
		{errors.Join(errors.Join(quiet, lost), nil), ExitUnsupported, "ctsim: close: input/output error\n"},
		{errors.Join(quiet, NewExit(ExitUsage, "wrong", "")), ExitUsage, "ctsim: wrong\n"},
		{fmt.Errorf("%w: %w", fs.ErrClosed, lost), ExitUnsupported, "ctsim: file already closed: close: input/output error\n"},
	} {
		var stderr strings.Builder
		call := NewCall(nil, nil, io.Discard, &stderr)
		if code := call.Report(c.err); code != c.code || stderr.String() != c.said {
			t.Errorf("%v: exit code %d, want %d; stderr %q, want %q", c.err, code, c.code, &stderr, c.said)
		}
	}
}
