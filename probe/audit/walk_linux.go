package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// place is a network namespace and a way to it.
type place struct {
	inode uint64
	path  string
	// label is what a person calls it: its name under /run/netns, or its first process.
	label string
	named bool
	pod   string
	// processes are in it; first is the lowest pid of them.
	processes int
}

// processes is what one walk over /proc found.
type processes struct {
	owners map[uint32]Process
	places map[uint64]*place
	// closed is how many processes there are whose descriptors, and others whose namespace, the caller may not see.
	closed, closedNamespaces int
	// hidden: /proc does not even show other users' processes.
	hidden bool
	// first is the namespace of the first process, the host's; 0 if the caller may not see it.
	first uint64
	// only are the sockets of the one process that was asked for, nil if there is none such; onlyClosed: the caller may
	// not look into it.
	only       map[uint32]bool
	onlyClosed bool
}

// walk goes once over /proc/PID/fd of all processes. Those that end meanwhile are left out. One is the process whose
// sockets are asked for, 0 if none is.
func walk(one int) (*processes, error) {
	p := &processes{owners: map[uint32]Process{}, places: map[uint64]*place{}}
	if err := p.mounts(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	// A descriptor may keep a namespace that no process is in; of those that are known by more, that counts for nothing.
	held := map[uint64]string{}
	for _, pid := range pids {
		mine, err := p.process(pid, held)
		if pid == one {
			p.only, p.onlyClosed = mine, err != nil
		}
	}
	for inode, path := range held {
		p.place(inode, path)
	}
	return p, nil
}

// mounts finds the namespaces that are mounted: those of `ip netns` and of container engines.
func (p *processes) mounts() error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m, ok := parseMount(lines.Text())
		switch {
		case !ok:
		case m.kind == "proc" && m.point == "/proc":
			p.hidden = hidesProcesses(m.options)
		case m.kind == "nsfs":
			if kind, inode, ok := descriptor(m.root); ok && kind == "net" {
				at := p.place(inode, m.point)
				at.label, at.named = filepath.Base(m.point), true
			}
		}
	}
	return lines.Err()
}

// place is the one with this inode, made if there is none.
func (p *processes) place(inode uint64, path string) *place {
	if p.places[inode] == nil {
		p.places[inode] = &place{inode: inode, path: path, label: fmt.Sprintf("net:[%d]", inode)}
	}
	return p.places[inode]
}

// process looks into one process and gives the inodes of its sockets, nil if it has ended; the error is that the caller
// may not see them. Its folder is opened once, so that what is read is all of the same process, and not of another that
// was given its pid.
func (p *processes) process(pid int, held map[uint64]string) (mine map[uint32]bool, err error) {
	path := fmt.Sprintf("/proc/%d", pid)
	folder, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = unix.Close(folder) }()
	comm, err := readAt(folder, "comm")
	if err != nil {
		return nil, nil
	}
	me := Process{PID: pid, Name: commandName(comm)}
	p.namespace(folder, path, me)
	mine = map[uint32]bool{}
	fd, err := unix.Openat(folder, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrPermission) {
		p.closed++
		return mine, err
	}
	if err != nil {
		return nil, nil
	}
	list := os.NewFile(uintptr(fd), path+"/fd")
	defer func() { _ = list.Close() }()
	names, err := list.Readdirnames(-1)
	if errors.Is(err, fs.ErrPermission) {
		p.closed++
		return mine, err
	}
	for _, name := range names {
		switch kind, inode, err := linkAt(fd, name); {
		case errors.Is(err, fs.ErrPermission):
			p.closed++ // the list may be read, what is in it not
			return mine, err
		case err != nil:
		case kind == "net":
			if held[inode] == "" {
				held[inode] = path + "/fd/" + name
			}
		case !mine[uint32(inode)]:
			mine[uint32(inode)] = true
			p.own(uint32(inode), me)
		}
	}
	return mine, nil
}

// own notes that a process has a socket; the lowest pid, which is the first, speaks for all.
func (p *processes) own(inode uint32, who Process) {
	if first, ok := p.owners[inode]; ok {
		first.Others++
		p.owners[inode] = first
		return
	}
	p.owners[inode] = who
}

// namespace notes the network namespace that a process is in.
func (p *processes) namespace(folder int, path string, who Process) {
	kind, inode, err := linkAt(folder, "ns/net")
	if errors.Is(err, fs.ErrPermission) {
		p.closedNamespaces++
	}
	if err != nil || kind != "net" {
		return
	}
	at := p.place(inode, path+"/ns/net")
	at.processes++
	if who.PID == 1 {
		p.first = inode
	}
	if at.processes > 1 {
		return
	}
	if !at.named {
		at.label, at.path = fmt.Sprintf("pid %d (%s)", who.PID, who.Name), path+"/ns/net"
	}
	if cgroup, err := readAt(folder, "cgroup"); err == nil {
		at.pod = podOf(string(cgroup))
	}
}

// linkAt reads one link below a folder; errOther if it leads to neither a socket nor a network namespace.
func linkAt(folder int, name string) (kind string, inode uint64, err error) {
	var buf [64]byte // what is longer leads to a file
	n, err := unix.Readlinkat(folder, name, buf[:])
	if err != nil {
		return "", 0, err
	}
	kind, inode, ok := descriptor(string(buf[:n]))
	if !ok {
		return "", 0, errOther
	}
	return kind, inode, nil
}

var errOther = errors.New("neither a socket nor a network namespace")

// readAt reads a small file below a folder.
func readAt(folder int, name string) ([]byte, error) {
	fd, err := unix.Openat(folder, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	return buf[:max(0, n)], err
}
