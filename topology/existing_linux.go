package topology

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrNotNetwork is in the chain when a path names something else than a network namespace.
var ErrNotNetwork = errors.New("not a network namespace")

// currentPath is the namespace that ctsim was started in: the main thread never leaves it.
const currentPath = "/proc/self/ns/net"

// CurrentNamespace is the namespace that ctsim was started in. Its Do enters nothing and so needs no privileges.
func CurrentNamespace(name string) (*Namespace, error) { return OpenNamespace(name, currentPath) }

// OpenNamespace opens a network namespace that exists, by a path that stands for it: /proc/PID/ns/net, /run/netns/NAME,
// /proc/PID/fd/N. Opening that of a process needs the right to trace it (PTRACE_MODE_READ). The namespace lives on
// until it is closed, even if the process ends. Do needs CAP_SYS_ADMIN over it, except for the namespace that ctsim was
// started in, whatever path led there. The error matches os.ErrNotExist, os.ErrPermission or [ErrNotNetwork].
// Equivalent: `nsenter --net=PATH`.
func OpenNamespace(name, path string) (*Namespace, error) {
	fail := func(err error) (*Namespace, error) {
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	// O_NONBLOCK: a path that turns out to be a pipe must not be waited for.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ESRCH) {
		err = fmt.Errorf("%w (%w)", unix.ENOENT, err) // the process ended between the look-up and the opening
	}
	if err != nil {
		return fail(err)
	}
	n := &Namespace{name: name, handle: netns.NsHandle(fd)}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return fail(errors.Join(ErrNotNetwork, n.Close()))
	}
	var this, current unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &this), unix.Stat(currentPath, &current)); err != nil {
		return fail(errors.Join(err, n.Close()))
	}
	n.inode = this.Ino
	n.current = this.Dev == current.Dev && this.Ino == current.Ino
	return n, nil
}

// Current tells whether this is the namespace that ctsim was started in.
func (n *Namespace) Current() bool { return n.current }
