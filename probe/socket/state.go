package socket

import "fmt"

// State is a TCP socket's state, with the kernel's number (include/net/tcp_states.h).
type State uint8

// The states.
const (
	Established State = iota + 1
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listening
	Closing
	NewSynReceived   // never seen in a dump: the kernel shows it as SynReceived
	BoundNotListened // since 6.8: bound to a port, but neither connected nor listening
)

var stateNames = [...]struct{ netstat, ss string }{
	Established:      {"ESTABLISHED", "ESTAB"},
	SynSent:          {"SYN_SENT", "SYN-SENT"},
	SynReceived:      {"SYN_RECV", "SYN-RECV"},
	FinWait1:         {"FIN_WAIT1", "FIN-WAIT-1"},
	FinWait2:         {"FIN_WAIT2", "FIN-WAIT-2"},
	TimeWait:         {"TIME_WAIT", "TIME-WAIT"},
	Closed:           {"CLOSE", "UNCONN"},
	CloseWait:        {"CLOSE_WAIT", "CLOSE-WAIT"},
	LastAck:          {"LAST_ACK", "LAST-ACK"},
	Listening:        {"LISTEN", "LISTEN"},
	Closing:          {"CLOSING", "CLOSING"},
	NewSynReceived:   {"NEW_SYN_RECV", "NEW-SYN-RECV"},
	BoundNotListened: {"BOUND", "BOUND-INACTIVE"},
}

// String is the state as netstat prints it: ESTABLISHED, TIME_WAIT.
func (s State) String() string {
	if int(s) >= len(stateNames) || stateNames[s].netstat == "" {
		return fmt.Sprintf("STATE-%d", uint8(s))
	}
	return stateNames[s].netstat
}

// SS is the state as ss prints it: ESTAB, TIME-WAIT.
func (s State) SS() string {
	if int(s) >= len(stateNames) || stateNames[s].ss == "" {
		return s.String()
	}
	return stateNames[s].ss
}
