package scenario

import (
	"fmt"
	"time"
)

const (
	// quiet is how long nothing has come or gone on a connection that counts as idle, programTimeout how long a program
	// may take for what is expected of it.
	quiet          = 500 * time.Millisecond
	programTimeout = 30 * time.Second
)

// StartClient starts the client's program and waits until its connections are there and idle.
type StartClient struct {
	Quiet   time.Duration `yaml:"quiet" min:"50ms" max:"1h" default:"500ms" doc:"A connection is idle once nothing has come or gone for this long."`
	Input   string        `yaml:"input" text:"data" doc:"A line to type to it once it is connected."`
	Printed string        `yaml:"printed" text:"data" doc:"It is not idle before it has printed this: for programs that are slow to log in."`
	AtMost  time.Duration `yaml:"at_most" min:"100ms" max:"1h" default:"30s" doc:"Give up waiting for an idle connection."`
}

func (s *StartClient) describe() string {
	text := "start the client's program, until its connection is established and idle"
	if s.Input != "" {
		text += fmt.Sprintf(", and type %q", s.Input)
	}
	return text
}
func (s *StartClient) check(Scenario) string { return "" }

// Input types a line to the client's program and does not wait for what comes of it.
type Input struct {
	Line string `yaml:"line,required" short:"yes" text:"data" doc:"The line, without its line break."`
}

func (s *Input) describe() string      { return fmt.Sprintf("type %q to the client's program", s.Line) }
func (s *Input) check(Scenario) string { return "" }

// Use lets the client's program use its connections and waits until it is known what became of them.
type Use struct {
	Input  string        `yaml:"input" short:"yes" text:"data" doc:"A line to type to it, once more after its connection was lost; without it the program acts when it likes."`
	AtMost time.Duration `yaml:"at_most" min:"100ms" max:"1h" default:"30s" doc:"Give up waiting: for the connection to be used, for an answer, for a new connection."`
}

func (s *Use) describe() string {
	if s.Input != "" {
		return fmt.Sprintf("type %q to the client's program, and see what becomes of its connection", s.Input)
	}
	return "wait until the client's program uses its connection, and see what becomes of it"
}
func (s *Use) check(Scenario) string { return "" }
