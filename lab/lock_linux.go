package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A lab's folder is its lock. Nobody but its user can open it, so nobody else can hold the lock.

const (
	// politeness is how long a lock is waited for in silence.
	politeness = 200 * time.Millisecond
	// lookAgain is how often it is asked for.
	lookAgain = 20 * time.Millisecond
)

// lock keeps others from changing the lab until unlock is called. While somebody else does, it waits, says for whom, and
// ends with ctx.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	told, began := false, time.Now()
	for {
		f, err := lockNow(s.folder(name))
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("lab %s: %w", name, ErrNone)
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, err
		}
		if !told && s.Waiting != nil && time.Since(began) > politeness {
			told = true
			s.Waiting(fmt.Sprintf("lab %s is locked by %s; waiting for it", name, lockedBy(s.folder(name))))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lookAgain):
		}
	}
}

// lockNow locks a lab's folder, or a draft, until it is closed. The error matches unix.EWOULDBLOCK if somebody else has
// locked it.
func lockNow(folder string) (*os.File, error) {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	f := os.NewFile(uintptr(fd), folder)
	if err := claim(f, folder); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", folder, err), f.Close())
	}
	return f, nil
}

func claim(f *os.File, folder string) error {
	var mine, there unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &mine); err != nil {
		return err
	}
	if mine.Mode&0o077 != 0 { // an older ctsim has made it
		if err := unix.Fchmod(int(f.Fd()), 0o700); err != nil {
			return err
		}
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	// Whoever had it may have taken the lab away, and somebody else may have made one of the same name.
	if err := unix.Stat(folder, &there); err != nil {
		return err
	}
	if mine.Dev != there.Dev || mine.Ino != there.Ino {
		return unix.EWOULDBLOCK // another one's turn
	}
	return nil
}

// lockedBy is who has locked a folder, as far as this process may know.
func lockedBy(folder string) string {
	var st unix.Stat_t
	locks, err := os.Open("/proc/locks")
	if err != nil || unix.Stat(folder, &st) != nil {
		return "another process"
	}
	defer locks.Close()
	text, err := io.ReadAll(locks)
	if err != nil {
		return "another process"
	}
	if pid := whoHolds(string(text), st.Dev, st.Ino); pid > 0 {
		return fmt.Sprintf("process %d (%s)", pid, commandOf(pid))
	}
	return "another process"
}

// whoHolds is the process that holds a file by the text of /proc/locks, 0 if that is not known. Not every file system has the
// same device number here and in stat: where none is this file's, one of its inode number alone counts if it is the only one.
func whoHolds(text string, dev, inode uint64) int {
	var alike []int
	exact := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), inode)
	for line := range strings.Lines(text) {
		pid := flockOf(line, inode)
		if pid > 0 && strings.Fields(line)[5] == exact {
			return pid
		}
		if pid > 0 {
			alike = append(alike, pid)
		}
	}
	if len(alike) == 1 {
		return alike[0]
	}
	return 0
}

// flockOf is the process that holds a file of this inode by a line of /proc/locks, such as
//
//	1: FLOCK  ADVISORY  WRITE 28202 fe:00:1234 0 EOF
//
// and 0 if it is about something else.
func flockOf(line string, inode uint64) int {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], ":"+strconv.FormatUint(inode, 10)) {
		return 0
	}
	pid, err := strconv.Atoi(fields[4])
	if err != nil || pid < 0 { // the holder is in another PID namespace
		return 0
	}
	return pid
}
