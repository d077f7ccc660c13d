package scenario

import (
	"time"

	"golang.org/x/sys/unix"
)

// complete adds what only the machine can tell.
func (r *run) complete() *evidence {
	r.ev.ended = time.Now()
	r.ev.machine = machine{release: release(), rootless: r.options.Rootless, phases: r.phases}
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
