package kernel

import (
	"time"

	"golang.org/x/sys/unix"
)

// realtime turns a stamp of the kernel into CLOCK_REALTIME.
//
// CLOCK_TAI is CLOCK_REALTIME plus a number of whole seconds (adjtimex; 0 where nobody has set it, 37 since 2017), so
// that stamp is exact, even if the clock was set in between. CLOCK_MONOTONIC, on kernels before 6.1, is compared with
// CLOCK_REALTIME now: a step of the clock since the stamp falsifies it, and the comparison is good to a microsecond.
func realtime(ns uint64, tai bool) time.Time {
	if tai {
		var t unix.Timex
		// It fails only for a bad pointer.
		_, _ = unix.Adjtimex(&t)
		return time.Unix(0, int64(ns)).Add(-time.Duration(t.Tai) * time.Second)
	}
	before, real, after := nanoseconds(unix.CLOCK_MONOTONIC), nanoseconds(unix.CLOCK_REALTIME),
		nanoseconds(unix.CLOCK_MONOTONIC)
	return time.Unix(0, int64(ns)+real-(before+(after-before)/2))
}

func nanoseconds(clock int32) int64 {
	var t unix.Timespec
	// It fails only for a clock that does not exist.
	_ = unix.ClockGettime(clock, &t)
	return t.Nano()
}
