package topology

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
)

func TestKernelOpenNamespace(t *testing.T) {
	kerneltest.Need(t)
	made, err := NewNamespace("pod")
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	before := openFiles(t)
	for _, path := range []string{fmt.Sprintf("/proc/self/fd/%d", made.Fd()), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), made.Fd())} {
		ns, err := OpenNamespace("again", path)
		if err != nil {
			t.Fatal(err)
		}
		if ns.Inode() != made.Inode() || ns.Name() != "again" || ns.Current() {
			t.Errorf("%s: inode %d, want %d; current %v", path, ns.Inode(), made.Inode(), ns.Current())
		}
		if got := inodeInside(t, ns); got != made.Inode() {
			t.Errorf("%s: Do runs in %d, not in %d", path, got, made.Inode())
		}
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before %d", after, before)
	}
}

// TestCurrentNamespace needs no privileges, and Do stays where it is.
func TestCurrentNamespace(t *testing.T) {
	ns, err := CurrentNamespace("host")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if !ns.Current() || inodeInside(t, ns) != ns.Inode() {
		t.Errorf("current %v, inside %d, inode %d", ns.Current(), inodeInside(t, ns), ns.Inode())
	}
	if _, err := ns.Sysctl("net.ipv4.tcp_keepalive_time"); err != nil {
		t.Error(err)
	}
}

func TestOpenNamespaceErrors(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for path, want := range map[string]error{
		"/proc/self/ns/nothing": os.ErrNotExist,
		"/proc/0/ns/net":        os.ErrNotExist,
		"/proc/self/ns/mnt":     ErrNotNetwork,
		"/dev/null":             ErrNotNetwork,
		pipe:                    ErrNotNetwork,
	} {
		if ns, err := OpenNamespace("x", path); !errors.Is(err, want) || ns != nil {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before %d", after, before)
	}
}

func inodeInside(t *testing.T, ns *Namespace) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := ns.Do(func() error { return unix.Stat("/proc/thread-self/ns/net", &st) }); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}
