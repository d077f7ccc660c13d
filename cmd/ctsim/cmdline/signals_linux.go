package cmdline

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Interruption is why a context ended: a signal asked for it. The exit code is 128 and the signal's number, as shells
// have it.
type Interruption struct{ Signal syscall.Signal }

// Error names the signal.
func (i Interruption) Error() string { return "interrupted by " + unix.SignalName(i.Signal) }

// ExitCode is what a shell shows.
func (i Interruption) ExitCode() int { return 128 + int(i.Signal) }

// oneKeypress is how long signals after the first count as the same one: a terminal sends Ctrl-C to the whole process
// group, so a ctsim that works in a user namespace gets it from the terminal and from the ctsim that started it.
const oneKeypress = 300 * time.Millisecond

// WithSignals gives a context that the first SIGINT or SIGTERM cancels, so that a partial report can be written. A
// second one ends the process at once, as if signals were not handled; nothing stays behind either way.
func WithSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			cancel(Interruption{s.(syscall.Signal)})
		case <-done:
			return
		}
		select {
		case <-time.After(oneKeypress):
			signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
