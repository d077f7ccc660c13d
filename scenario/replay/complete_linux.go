package replay

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/evidence"
)

// complete adds what only the machine can tell.
func (r *run) complete() *evidence.Evidence {
	r.ev.Ended = time.Now()
	r.ev.TimeEvents()
	r.ev.Machine = evidence.Machine{Release: release(), Rootless: r.options.Rootless, Phases: r.phases}
	return &r.ev
}

// release is `uname -r`.
func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
