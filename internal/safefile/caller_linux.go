package safefile

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// caller is the user for whom files are written.
type caller struct {
	// uid and gid own what is made: the process's own, or under sudo those of the user who called it.
	uid, gid int
	// unmapped is the number that root and everybody else have in a user namespace of an ordinary user; -1 elsewhere.
	// There is nothing to be had by root's privileges in one.
	unmapped int
}

func thisCaller() caller {
	c := caller{os.Geteuid(), os.Getegid(), unmappedUID()}
	if c.uid != 0 {
		return c
	}
	uid, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 31)
	gid, err2 := strconv.ParseUint(os.Getenv("SUDO_GID"), 10, 31)
	if err == nil && err2 == nil && c.unmapped < 0 {
		c.uid, c.gid = int(uid), int(gid)
	}
	return c
}

// unmappedUID is what stat says of a user that the user namespace does not know; -1 if it knows all, or one of that
// number.
func unmappedUID() int {
	maps, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return -1
	}
	unmapped := 65534
	if data, err := os.ReadFile("/proc/sys/fs/overflowuid"); err == nil {
		_, _ = fmt.Sscan(string(data), &unmapped)
	}
	for line := range strings.Lines(string(maps)) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && unmapped >= inside && unmapped < inside+count {
			return -1
		}
	}
	return unmapped
}

// mine tells whether a uid is the caller's, or root's.
func (c caller) mine(uid uint32) bool {
	return int(uid) == c.uid || int(uid) == os.Geteuid() || uid == 0
}

// mayFollow tells whether nobody else can have put a symbolic link into a folder.
func (c caller) mayFollow(link, folder *unix.Stat_t) bool {
	foreign := func(st *unix.Stat_t) bool { return !c.mine(st.Uid) && int(st.Uid) != c.unmapped }
	if folder.Mode&unix.S_IWOTH == 0 {
		return !foreign(folder) && !foreign(link)
	}
	// In a sticky folder a name cannot be moved by others, but a second one can be made for somebody's link.
	return folder.Mode&unix.S_ISVTX != 0 && !foreign(folder) && c.mine(link.Uid) && link.Nlink == 1
}

// check says whose something is that is not the caller's.
func (c caller) check(what string, st *unix.Stat_t) error {
	if c.mine(st.Uid) {
		return nil
	}
	return fmt.Errorf("%s belongs to another user (uid %d)", what, st.Uid)
}

// give makes what has just been made the caller's.
func (c caller) give(fd int) error {
	if c.uid == os.Geteuid() && c.gid == os.Getegid() {
		return nil
	}
	return unix.Fchown(fd, c.uid, c.gid)
}
