package topology

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The main goroutine stays on the main thread for the life of the process, so that no goroutine that changes its
// thread's namespace is ever given the main thread: /proc/self always tells of the namespace the process started in,
// and a child's PDEATHSIG, which follows the thread that started it, fires only when the process ends.
func init() { runtime.LockOSThread() }

// ErrClosed is returned when a closed Namespace is entered.
var ErrClosed = errors.New("namespace is closed")

// Namespace is a network namespace. One that ctsim made has no name: it lives as long as its file descriptor, or a
// socket or child process made inside it, is open. The zero value is a closed namespace.
type Namespace struct {
	name   string
	handle netns.NsHandle
	inode  uint64
	// current: Do has nowhere to go.
	current bool
}

// NewNamespace makes an empty network namespace (unshare(CLONE_NEWNET)). Name is what output calls it, a pod or a
// node; the kernel never sees it. It needs CAP_SYS_ADMIN in the current user namespace. Equivalent: `unshare -n`.
func NewNamespace(name string) (*Namespace, error) {
	n := &Namespace{name: name, handle: netns.None()}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare(CLONE_NEWNET): %w", err)
		}
		// Not netns.Get: it reads /proc/self/task/<tid>, which is the same; thread-self needs no thread id.
		h, err := netns.GetFromPath("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		n.handle = h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("network namespace for %s: %w", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(n.handle), &st); err != nil {
		return nil, errors.Join(fmt.Errorf("network namespace for %s: %w", name, err), n.Close())
	}
	n.inode = st.Ino
	return n, nil
}

// Name is what output calls the namespace: the pod or node that it plays.
func (n *Namespace) Name() string { return n.name }

// Inode is the namespace's inode number, the one in `net:[4026532246]` and in the kernel's "table full in netns".
func (n *Namespace) Inode() uint64 { return n.inode }

// Fd is the namespace's file descriptor, -1 when closed. It stays owned by the Namespace.
func (n *Namespace) Fd() int {
	if !n.handle.IsOpen() {
		return -1
	}
	return int(n.handle)
}

// Close lets go of the namespace. The kernel destroys it, with every link, rule and conntrack entry in it, once
// nothing else holds it; that happens asynchronously. Closing twice is harmless.
func (n *Namespace) Close() error {
	if !n.handle.IsOpen() {
		return nil
	}
	return n.handle.Close()
}

// Do runs f on a thread that is inside the namespace: sockets, child processes and netlink handles that f makes
// belong to it, and /proc/thread-self/net and /proc/sys/net show it. Goroutines that f starts are outside again.
// It needs CAP_SYS_ADMIN over the namespace. Equivalent: `nsenter --net=…`. If f panics, Do panics with a *Panic that
// has the stack of f; if f ends its goroutine (runtime.Goexit), Do ends the caller's.
//
// This and NewNamespace are the only ways into a namespace. Whoever is there already needs no privileges.
func (n *Namespace) Do(f func() error) error {
	if !n.handle.IsOpen() {
		return fmt.Errorf("%s: %w", n.name, ErrClosed)
	}
	return onThread(func() error {
		if n.current {
			return f()
		}
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter the network namespace of %s: %w", n.name, err)
		}
		return f()
	})
}

// SetSysctl writes one network sysctl of the namespace, `net.ipv4.ip_forward` for instance.
// Equivalent: `ip netns exec … sysctl -w key=value`. A key the kernel does not have gives an error that matches
// os.ErrNotExist; one that is read-only in a namespace (nf_conntrack_max) one that matches os.ErrPermission.
func (n *Namespace) SetSysctl(key, value string) error {
	return n.Do(func() error { return writeSysctl(key, value) })
}

// Sysctl reads one network sysctl of the namespace. Equivalent: `ip netns exec … sysctl -n key`.
func (n *Namespace) Sysctl(key string) (string, error) {
	var value string
	err := n.Do(func() error {
		b, err := os.ReadFile(sysctlPath(key))
		value = strings.TrimSpace(string(b))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("sysctl %s in %s: %w", key, n.name, err)
	}
	return value, nil
}

func writeSysctl(key, value string) error {
	// O_TRUNC and O_CREAT make no sense under /proc, so not os.WriteFile.
	f, err := os.OpenFile(sysctlPath(key), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

// sysctlPath turns net.ipv4.conf.all.rp_filter into its file. Interface names with dots are not supported: ctsim
// makes none.
func sysctlPath(key string) string {
	return filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
}
