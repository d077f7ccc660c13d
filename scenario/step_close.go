package scenario

import (
	"fmt"
	"time"
)

// Close closes one side's socket for good.
type Close struct {
	From string `yaml:"from,required" short:"yes" enum:"client,server" doc:"The side that closes."`
}

func (s *Close) describe() string      { return "the " + s.From + " closes its socket" }
func (s *Close) check(Scenario) string { return "" }

// Receive reads one message on the client's side of every connection.
type Receive struct {
	AtMost time.Duration `yaml:"at_most" short:"yes" min:"1ms" max:"1h" default:"5s" doc:"Give up after this; a deadline of the program itself counts as ETIMEDOUT."`
}

func (s *Receive) describe() string      { return "the client receives" }
func (s *Receive) check(Scenario) string { return "" }

// DeleteEntry deletes the conntrack entry of one connection and leaves all others alone.
type DeleteEntry struct {
	Connection int    `yaml:"connection,required" short:"yes" min:"1" max:"4000" doc:"The connection's number."`
	On         string `yaml:"on" pattern:"^(master|node[1-4])$" default:"master" doc:"Whose table."`
}

func (s *DeleteEntry) describe() string {
	return fmt.Sprintf("delete the entry of connection %d on %s", s.Connection, s.On)
}

func (s *DeleteEntry) check(sc Scenario) string { return wrongNode(sc, s.On) }
