package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/printable"
)

// Ended is a process that was ended because its pod went.
type Ended struct {
	PID     int
	Command string
	// Killed is true if it had to be killed: it ignored SIGTERM.
	Killed bool
}

// grace is how long a process has to end after SIGTERM.
const grace = 2 * time.Second

// idVariable is the mark in the environment of what is started in a pod.
const idVariable = "CTSIM_LAB_ID"

// candidate is a process that may belong to a lab.
type candidate struct {
	pid   int
	start uint64 // as in Process; 0 if it has ended
	netns uint64 // inode; 0 if this process may not know
}

// hasMark tells whether the process, or one of those it comes from, was started in a pod of the lab with this ID.
func (c *candidate) hasMark(id string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.pid))
	return err == nil && slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool {
		return string(v) == idVariable+"="+id
	})
}

// endProcesses ends the processes that belong, with SIGTERM and then SIGKILL: never this one or those it comes from, a
// shell in the lab for instance. They are held by a file descriptor meanwhile, so none is mistaken for another.
func endProcesses(ctx context.Context, belongs func(*candidate) bool) ([]Ended, error) {
	var ended []Ended
	var fds []int
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	spared := ancestors()
	for _, pid := range allProcesses() {
		seen := look(pid)
		if slices.Contains(spared, pid) || !belongs(seen) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		if again := look(pid); again.start != seen.start || !belongs(again) {
			_ = unix.Close(fd) // another one has the number now
			continue
		}
		fds = append(fds, fd)
		ended = append(ended, Ended{PID: pid, Command: commandOf(pid)})
	}
	if err := signalAll(fds, unix.SIGTERM); err != nil {
		return nil, err
	}
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for i, fd := range fds {
		if waitEnd(patience, fd) {
			continue
		}
		ended[i].Killed = true
		if err := signalAll([]int{fd}, unix.SIGKILL); err != nil {
			return ended, err
		}
		waitEnd(context.Background(), fd)
	}
	return ended, nil
}

func signalAll(fds []int, signal unix.Signal) error {
	for _, fd := range fds {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end a process of the lab: %w", err)
		}
	}
	return nil
}

// waitEnd returns true when the process of a pidfd has ended, false if ctx ended before.
func waitEnd(ctx context.Context, fd int) bool {
	for ctx.Err() == nil {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 100); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
	return false
}

// owns makes a function that tells whether a process is the lab's own: it is in one of its namespaces, or carries its mark
// and is in a namespace that somebody in the lab has made. What carries the mark, which is handed down, and has gone back
// to the machine's own network does something else there.
func (r *Record) owns() func(*candidate) bool {
	inodes := r.present()
	var outside []uint64
	for _, pid := range []string{"1", "self"} {
		var st unix.Stat_t
		if unix.Stat("/proc/"+pid+"/ns/net", &st) == nil && !slices.Contains(inodes, st.Ino) {
			outside = append(outside, st.Ino)
		}
	}
	return func(c *candidate) bool {
		return slices.Contains(inodes, c.netns) ||
			c.netns != 0 && !slices.Contains(outside, c.netns) && c.hasMark(r.ID)
	}
}

func allProcesses() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// look is what can be known of a process; one that has ended belongs nowhere.
func look(pid int) *candidate {
	c := &candidate{pid: pid}
	start, err := startTime(pid)
	if err != nil {
		return c
	}
	c.start = start
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) == nil {
		c.netns = st.Ino
	}
	return c
}

// ancestors are this process and those it comes from.
func ancestors() []int {
	var all []int
	for pid := os.Getpid(); pid > 0; {
		all = append(all, pid)
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		text := string(data)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 {
			break
		}
		pid, _ = strconv.Atoi(fields[1])
	}
	return all
}

// commandOf is a process's command line, as far as it is fit to be printed.
func commandOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(data) == 0 {
		return "?"
	}
	args := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	args[0] = filepath.Base(args[0])
	text := printable.Line(strings.Join(args, " "))
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:59]) + "…"
	}
	return text
}
