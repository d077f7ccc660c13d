package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotHeld is returned for a socket that none of the program's processes holds (any more).
var ErrNotHeld = errors.New("no process holds the socket")

// Settings reads what the program has set on one of its sockets, named by its inode number (see socket.Socket): it
// takes a duplicate of the descriptor out of the process (pidfd_getfd, Linux 5.6) and asks that. It needs
// CAP_SYS_PTRACE over the program; where that is refused the error matches os.ErrPermission.
func (p *Program) Settings(inode uint32) (Settings, error) {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid_for_children", p.keeper.Pid))
	if err != nil {
		return Settings{}, fmt.Errorf("settings of socket %d of %s: %w", inode, p.spec.Name, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return Settings{}, err
	}
	for _, dir := range processes {
		if ns, err := os.Readlink(dir + "/ns/pid"); err != nil || ns != own {
			continue // another's, or it has ended
		}
		fd, held, err := descriptor(dir, inode)
		if err != nil {
			return Settings{}, fmt.Errorf("settings of socket %d of %s: %w", inode, p.spec.Name, err)
		}
		if held {
			return read(dir, fd)
		}
	}
	return Settings{}, fmt.Errorf("socket %d of %s: %w", inode, p.spec.Name, ErrNotHeld)
}

// descriptor is a process's number for a socket.
func descriptor(dir string, inode uint32) (fd int, held bool, err error) {
	names, err := os.ReadDir(dir + "/fd")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil // it has ended meanwhile
	}
	if err != nil {
		return 0, false, err
	}
	want := fmt.Sprintf("socket:[%d]", inode)
	for _, n := range names {
		if to, err := os.Readlink(filepath.Join(dir, "fd", n.Name())); err == nil && to == want {
			fd, err := strconv.Atoi(n.Name())
			return fd, err == nil, err
		}
	}
	return 0, false, nil
}

// read asks a process's socket for its settings.
func read(dir string, number int) (_ Settings, err error) {
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return Settings{}, err
	}
	comm, err := os.ReadFile(dir + "/comm")
	if err != nil {
		return Settings{}, err
	}
	s := Settings{Process: strings.TrimSpace(string(comm)), PID: pid}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return s, fmt.Errorf("pidfd_open: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(pidfd)) }()
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err != nil {
		return s, fmt.Errorf("pidfd_getfd: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	var on int
	for _, o := range []struct {
		level, name int
		set         func(int)
	}{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, func(v int) { on = v }},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, func(v int) { s.Idle = time.Duration(v) * time.Second }},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, func(v int) { s.Interval = time.Duration(v) * time.Second }},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, func(v int) { s.Count = v }},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, func(v int) { s.UserTimeout = time.Duration(v) * time.Millisecond }},
	} {
		v, err := unix.GetsockoptInt(fd, o.level, o.name)
		if err != nil {
			return s, fmt.Errorf("getsockopt(%d, %d): %w", o.level, o.name, err)
		}
		o.set(v)
	}
	s.KeepAlive = on != 0
	return s, nil
}
