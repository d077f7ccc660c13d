package evidence

import "fmt"

// Execution is a command that a step ran, and how it ended.
type Execution struct {
	// Number is the step's among those that run commands, from 1, Name its name, which may be empty.
	Number int
	Name   string
	// Command is the program and its arguments.
	Command []string
	// Exit is its exit code, Signal the name of the signal that ended it, empty if it ended by itself; the code is then
	// 128 and the signal's number, as in a shell.
	Exit   int
	Signal string
	// Output is what it printed, stdout and stderr together, at most MaxOutput bytes; Cut is true if there was more.
	Output string
	Cut    bool
}

// MaxOutput is how many bytes of a command's output are kept.
const MaxOutput = 64 << 10

// End is how it ended, in words.
func (x *Execution) End() string {
	if x.Signal != "" {
		return "ended by " + x.Signal
	}
	return fmt.Sprintf("exit code %d", x.Exit)
}

// ExecFacts is a command that a step ran, and how it ended.
type ExecFacts struct {
	// Number is the step's among those that run commands, from 1; Name is its name, if it has one.
	Number int    `json:"number"`
	Name   string `json:"name,omitempty"`
	// Command is the program and its arguments.
	Command []string `json:"command"`
	// Exit is its exit code: 128 and the signal's number if Signal, SIGKILL for instance, has ended it.
	Exit   int    `json:"exit"`
	Signal string `json:"signal,omitempty"`
	// Output is stdout and stderr together, its beginning if Cut is true.
	Output string `json:"output"`
	Cut    bool   `json:"cut,omitempty"`
}

func execFacts(x *Execution) *ExecFacts {
	if x == nil {
		return nil
	}
	return &ExecFacts{x.Number, x.Name, x.Command, x.Exit, x.Signal, x.Output, x.Cut}
}
