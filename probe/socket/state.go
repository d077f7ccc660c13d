package socket

import "fmt"

// State is a TCP socket's state, with the kernel's number: enum tcp states of include/net/tcp_states.h, as sock_diag,
// TCP_INFO and the kernel's tracepoints have it. What connection tracking believes of a connection has other numbers, see
// conntrack.TCPState.
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
	BoundNotListened: {"BOUND_INACTIVE", "BOUND-INACTIVE"},
}

// String is the state's name in the kernel without TCP_, which is what netstat prints: ESTABLISHED, TIME_WAIT.
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
