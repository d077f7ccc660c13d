package account

import (
	"slices"
	"syscall"

	"github.com/ctsim/ctsim/probe/peer"
)

// Errnos are the names that an account may give an error, in the order of their numbers (asm-generic/errno.h).
var Errnos = func() []string {
	var out []string
	for errno := syscall.Errno(1); errno < 134; errno++ {
		if name := peer.Errno(errno); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}()
