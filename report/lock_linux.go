package report

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock makes others wait who write reports into the same folder, until the function it gives is called or the process
// ends. Where a file system has no such locks nobody waits.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, bare(err)
	}
	_ = ignoringEINTR(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) })
	return func() { f.Close() }, nil
}

// ignoringEINTR calls again what a signal has interrupted.
func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// movable tells whether a folder can be moved elsewhere: that changes its "..", so it takes the right to write in it.
func movable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
