package scenario

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// RootlessVariable is set to 1 in the environment of a ctsim that has gone into a user namespace of its own.
const RootlessVariable = "CTSIM_ROOTLESS"

// result is the run assembled, with what only the machine can tell.
func (r *run) result() *Result {
	r.ev.ended = time.Now()
	out := assemble(r.scenario, &r.ev)
	out.Kernel, out.Rootless, out.Phases = release(), os.Getenv(RootlessVariable) == "1", r.phases
	return out
}

// release is `uname -r`.
func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
