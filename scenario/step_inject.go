package scenario

import (
	"fmt"
)

// Inject sends a packet that no socket has sent, in the name of a connection's server: its addresses and ports,
// its sequence number moved by an offset.
type Inject struct {
	Offset int    `yaml:"sequence_offset" min:"-2147483648" max:"2147483647" doc:"Added to the server's next sequence number."`
	Flag   string `yaml:"flag" enum:"ACK,RST" default:"ACK" doc:"ACK carries ten bytes, RST none."`
}

func (s *Inject) describe() string {
	return fmt.Sprintf("the server's pod sends a stray %s, %+d off its sequence", s.Flag, s.Offset)
}
func (s *Inject) check(Scenario) string { return "" }
