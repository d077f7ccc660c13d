package labs

import (
	"errors"
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
