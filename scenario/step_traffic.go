package scenario

import (
	"fmt"
	"time"
)

// Connect opens the connections through the service: those of world.connections that are not open yet, or one more.
type Connect struct {
	More    bool          `yaml:"more" doc:"Open one more connection, numbered after the others."`
	Port    int           `yaml:"port" min:"1024" max:"65535" doc:"The client's source port; 0 lets the kernel choose."`
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"130s" default:"130s" doc:"Give up waiting for the handshake; the kernel itself takes 127 s."`
}

// ConnectTimeout is longer than the kernel takes to give up a SYN with its default of 6 retries, 127 s.
const ConnectTimeout = 130 * time.Second

func (c *Connect) describe() string {
	text := "connect to the service"
	if c.More {
		text = "open one more connection to the service"
	}
	if c.Port != 0 {
		text += fmt.Sprintf(" from port %d", c.Port)
	}
	return text
}

func (c *Connect) check(s Scenario) string {
	if c.Port != 0 && !c.More && s.World.Connections > 1 {
		return "one source port serves one connection; set more: true"
	}
	return ""
}

// MessageSize is how many bytes a message has that ctsim's own client and server send.
const MessageSize = 10

// Send sends one message of ten bytes on every connection and waits until it is known what became of it.
type Send struct {
	From       string `yaml:"from" short:"yes" enum:"client,server" default:"client" doc:"The side that speaks."`
	Connection int    `yaml:"connection" min:"1" max:"4000" doc:"Only this one; 0 is every connection."`
}

func (s *Send) describe() string {
	text := fmt.Sprintf("%s sends %d bytes", s.From, MessageSize)
	if s.Connection != 0 {
		text += fmt.Sprintf(" on connection %d", s.Connection)
	}
	return text
}

func (s *Send) check(Scenario) string { return "" }

// Shutdown ends one side's stream with a FIN and keeps the other direction open.
type Shutdown struct {
	From string `yaml:"from,required" short:"yes" enum:"client,server" doc:"The side that has nothing more to say."`
}

func (s *Shutdown) describe() string {
	return "the " + s.From + " ends its stream (FIN), and stays"
}
func (s *Shutdown) check(Scenario) string { return "" }
