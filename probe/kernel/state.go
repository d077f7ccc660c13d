package kernel

import "fmt"

// states are the names of include/net/tcp_states.h without TCP_.
var states = [...]string{
	0: "", 1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
	8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "NEW_SYN_RECV", 13: "BOUND_INACTIVE",
}

func stateName(state uint8) string {
	if int(state) < len(states) {
		return states[state]
	}
	return fmt.Sprintf("state %d", state)
}
