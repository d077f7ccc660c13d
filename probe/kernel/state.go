package kernel

import "github.com/ctsim/ctsim/probe/socket"

// stateName names a socket's state, empty for 0, which is none.
func stateName(state uint8) string {
	if state == 0 {
		return ""
	}
	return socket.State(state).String()
}
