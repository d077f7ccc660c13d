package program

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// Exit is how a program ended. The zero value is exit code 0.
type Exit struct {
	// Code is its exit code; 128 and the signal's number if a signal ended it, as shells have it.
	Code int
	// Signal is what ended it; 0 if it ended by itself.
	Signal syscall.Signal
	// Time is when.
	Time time.Time
	// Asked is true if ctsim had told it to end before; Killed if it, or something that it has started, did not heed
	// SIGTERM and got SIGKILL.
	Asked, Killed bool
}

// String is the end in words: "exit code 127 (command not found)", "killed by SIGKILL: it ignored SIGTERM".
func (e Exit) String() string {
	switch {
	case e.Killed && e.Signal == syscall.SIGKILL:
		return "killed: it ignored SIGTERM"
	case e.Killed:
		e.Killed = false
		return e.String() + "; what it had started ignored SIGTERM and was killed"
	case e.Signal != 0:
		return fmt.Sprintf("ended by signal %d (%s)", int(e.Signal), e.Signal)
	case e.Code == 126:
		return "exit code 126 (not executable)"
	case e.Code == 127:
		return "exit code 127 (command not found)"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Ended is the error of a program that has ended, or has said or done nothing, where it should not have.
type Ended struct {
	Name, Command string
	// Exit is nil if the program still runs.
	Exit *Exit
	// Before is what it should have done first: "it listened on port 2222".
	Before string
	// Output are its last lines.
	Output []Line
}

// Error is one line, and one for each line of output.
func (e *Ended) Error() string {
	var b strings.Builder
	if e.Exit == nil {
		fmt.Fprintf(&b, "%s: %s: it runs, but not so that %s", e.Name, e.Command, e.Before)
	} else {
		fmt.Fprintf(&b, "%s: %s: %s before %s", e.Name, e.Command, e.Exit, e.Before)
	}
	if len(e.Output) == 0 {
		b.WriteString("; it printed nothing")
	}
	for _, l := range e.Output {
		fmt.Fprintf(&b, "\n  %s| %s", e.Name, l.Text)
	}
	return b.String()
}
