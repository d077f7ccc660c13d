package scenario

import (
	"time"

	"golang.org/x/sys/unix"
)

// result is the run assembled, with what only the machine can tell.
func (r *run) result() *Result {
	r.ev.ended = time.Now()
	out := assemble(r.plan, &r.ev)
	out.Kernel, out.Rootless, out.Phases = release(), r.options.Rootless, r.phases
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
