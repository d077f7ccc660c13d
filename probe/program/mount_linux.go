package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// memory are places for the pod's own files, the first that is there and that no program is started from. /run is a
// pod's own in a cluster too, and with the machine's out of sight nobody asks its name service cache or its resolver.
var memory = []string{"/run", "/mnt", "/media", "/srv"}

// mount gives the pod its view of the machine's files, in a mount namespace of its own, and its home. Equivalent:
//
//	mount --make-rprivate /
//	mount -t proc proc /proc; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /dev/shm
//	mount --bind /run/ctsim/hosts /etc/hosts
func (o order) mount(w who) (home, temporary string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", "", fmt.Errorf("make the mounts private: %w", err)
	}
	// Where the machine's /proc is masked, as in many containers, a user namespace may not mount one: then the program
	// sees the machine's processes, which does no harm.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	base, err := scratch()
	if err != nil {
		return "", "", err
	}
	if err := onMemory(base, "mode=0755"); err != nil {
		return "", "", err
	}
	// Shared memory that a killed program leaves behind goes with the pod.
	if err := onMemory("/dev/shm", "mode=1777"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	for name, content := range map[string]string{"/etc/hosts": o.Hosts, "/etc/resolv.conf": resolvFile} {
		if err := replace(name, content, base); err != nil {
			return "", "", fmt.Errorf("the pod's %s: %w", name, err)
		}
	}
	home, temporary = filepath.Join(base, "ctsim", "home"), filepath.Join(base, "ctsim", "tmp")
	for _, dir := range []string{home, temporary} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", "", err
		}
		if w.set && !w.nested {
			if err := os.Chown(dir, w.uid, w.gid); err != nil {
				return "", "", err
			}
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return "", "", err
		}
	}
	return home, temporary, nil
}

// scratch is the folder that memory is mounted on.
func scratch() (string, error) {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range memory {
		inUse := slices.ContainsFunc(path, func(p string) bool { return within(p, dir) })
		if info, err := os.Stat(dir); err == nil && info.IsDir() && !inUse {
			return dir, nil
		}
	}
	return "", fmt.Errorf("none of %s can hold the program's home", strings.Join(memory, ", "))
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func onMemory(dir, options string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
	}
	return nil
}

// replace puts a file of the pod in the place of the machine's. On a machine with systemd-resolved, /etc/resolv.conf is
// a link into /run, which is the pod's own by now.
func replace(name, content, base string) error {
	target := name
	for range 8 {
		to, err := os.Readlink(target)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(target), to)
		}
		target = filepath.Clean(to)
	}
	if strings.HasPrefix(target, "/var/run/") { // a link to /run everywhere
		target = strings.TrimPrefix(target, "/var")
	}
	if within(target, base) {
		return write(target, content)
	}
	file := filepath.Join(base, "ctsim", filepath.Base(name))
	if err := write(file, content); err != nil {
		return err
	}
	err := unix.Mount(file, target, "", unix.MS_BIND, "")
	if errors.Is(err, unix.ENOENT) && name != "/etc/hosts" {
		return nil // without one, the resolver asks 127.0.0.1
	}
	if err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

func write(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}
