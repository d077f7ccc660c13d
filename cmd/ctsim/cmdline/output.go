package cmdline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/report"
)

// Output is stdout or stderr, and the door to a terminal: whoever writes, no character passes that a terminal acts on or
// that cannot be seen. It remembers the first error of a write, so that what is printed by others, the help for instance,
// cannot be lost without a word: Run makes an exit code of it. It may be written to by several goroutines.
//
// A pipe that nobody reads any more (`ctsim list | head -1`) ends the process by SIGPIPE before there is an error, which
// a shell shows as 141. A process that was started with no stdout at all (`>&-`) cannot tell: the Go runtime puts
// /dev/null there before the first line of ctsim runs, opened as many programs open it for one whose output they do not
// want.
type Output struct {
	w io.Writer
	// door is what Write writes to, painted the same with ctsim's colours.
	door, painted *printable.Writer

	mu        sync.Mutex
	err       error
	onFailure func(error)
}

// WriteError is why stdout could not be written to.
type WriteError struct{ Err error }

// Error says that it is stdout, and why.
func (e *WriteError) Error() string { return fmt.Sprintf("stdout: %s", reason(e.Err)) }

// Unwrap is the operating system's reason.
func (e *WriteError) Unwrap() error { return e.Err }

// reason is an error of a file without its path: that stdout is /dev/stdout says nothing.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// NewOutput is w with a memory for its first error.
func NewOutput(w io.Writer) *Output {
	return &Output{w: w, door: printable.NewWriter(w, false), painted: printable.NewWriter(w, true)}
}

// Write writes text. Once a write has failed nothing more is tried: half of what follows would be worse than nothing.
func (o *Output) Write(b []byte) (int, error) { return o.write(o.door, b) }

// Painted is the same output for text with ctsim's own colours in it.
func (o *Output) Painted() io.Writer {
	return outputFunc(func(b []byte) (int, error) { return o.write(o.painted, b) })
}

// Raw is the same output for what is no text, a capture file for instance, and for ctsim's own hand on the terminal's
// cursor: nothing that is foreign text may come this way.
func (o *Output) Raw() io.Writer {
	return outputFunc(func(b []byte) (int, error) { return o.write(o.w, b) })
}

// outputFunc is a writer that is a function.
type outputFunc func([]byte) (int, error)

func (f outputFunc) Write(b []byte) (int, error) { return f(b) }

// Raw is [Output.Raw] of w, if it is an output.
func Raw(w io.Writer) io.Writer {
	if o, is := w.(*Output); is {
		return o.Raw()
	}
	return w
}

// Close writes what is held back: half of a character, after which nothing came.
func (o *Output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		_ = errors.Join(o.door.Close(), o.painted.Close()) // it is no character at all
	}
}

func (o *Output) write(w io.Writer, b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := w.Write(b)
	if err != nil {
		o.err = &WriteError{err}
		if o.onFailure != nil {
			o.onFailure(o.err)
		}
		return n, o.err
	}
	return n, nil
}

// Err is the first error of a write, a *WriteError; nil if there was none.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// OnFailure has f called with the first error of a write.
func (o *Output) OnFailure(f func(error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.onFailure = f
}

// Unwrap is what is written to: another process can have it as its stdout.
func (o *Output) Unwrap() io.Writer { return o.w }

// TerminalWidth is the number of columns of the terminal that w writes to; false if it is not a terminal.
func TerminalWidth(w io.Writer) (columns int, ok bool) {
	if o, isOutput := w.(*Output); isOutput {
		w = o.w
	}
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = report.DefaultWidth
	}
	return columns, true
}

// Coloured tells whether what is written to stdout has colours: as asked for, or on a terminal that knows them and
// whose user has not said otherwise (https://no-color.org).
func (inv *Call) Coloured(when string) bool {
	switch when {
	case "always":
		return true
	case "never":
		return false
	}
	_, isTerminal := TerminalWidth(inv.Stdout)
	return isTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
