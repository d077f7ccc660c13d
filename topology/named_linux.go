package topology

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Pin gives the namespace a name in the file system: a file that stands for it and keeps it alive until Unpin. In
// /run/netns that is a name for `ip netns exec`, see NamesDir. The error matches os.ErrExist if the path is taken.
// It needs CAP_SYS_ADMIN over the mount namespace. Equivalent: `touch PATH`, `mount --bind /proc/PID/ns/net PATH`.
func (n *Namespace) Pin(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("name for %s: %w", n.name, err)
	}
	err = f.Close()
	if err == nil {
		err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", n.Fd()), path, "none", unix.MS_BIND, "")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("name for %s: mount on %s: %w", n.name, path, err), os.Remove(path))
	}
	return nil
}

// Unpin takes a namespace's name away; the namespace goes when nothing else holds it. A path that is not there is no
// error. Equivalent: `ip netns delete`.
func Unpin(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // EINVAL: nothing is mounted there
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// NamesDir readies a folder for names as `ip netns add` does: it is a mount of its own, and shared, so that a name that
// is taken away here is gone in the mount namespaces of others too, and does not keep the namespace alive there.
// Making is called before the folder is made, and before it becomes a mount; UndoNamesDir takes that away.
func NamesDir(path string, making func(folder bool) error) error {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err = making(true); err == nil {
			err = os.MkdirAll(path, 0o755)
		}
		if err != nil {
			return err
		}
	}
	err := unix.Mount("", path, "none", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return pathError("make shared", path, err)
	}
	if err := making(false); err != nil {
		return err
	}
	if err := unix.Mount(path, path, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return pathError("mount", path, err)
	}
	return pathError("make shared", path, unix.Mount("", path, "none", unix.MS_SHARED|unix.MS_REC, ""))
}

// UndoNamesDir takes away what NamesDir has made, the folder too if it has made that, unless somebody uses it or has put a
// name there: then the error matches unix.EBUSY.
func UndoNamesDir(path string, folder bool) error {
	for {
		entries, err := os.ReadDir(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && len(entries) > 0 {
			err = unix.EBUSY
		}
		if err == nil {
			err = unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		}
		if errors.Is(err, unix.EINVAL) { // no mount any more; of several that made it at once, each has mounted it
			break
		}
		if err != nil {
			return pathError("unmount", path, err)
		}
	}
	if !folder {
		return nil
	}
	err := unix.Rmdir(path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.ENOTEMPTY) {
		err = unix.EBUSY
	}
	return pathError("remove", path, err)
}

func pathError(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}

// Attach makes a Lab of namespaces that are there already: those of a plan that somebody else has built. Open gives
// the namespace of a pod, node or host, and the Lab closes it. On error nothing is left open.
// It needs CAP_SYS_ADMIN over the namespaces.
func Attach(plan Plan, open func(name string) (*Namespace, error)) (_ *Lab, err error) {
	l := &Lab{plan: plan, members: map[string]*member{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("topology: %w", err), l.Close())
		}
	}()
	for _, name := range plan.Names() {
		ns, err := open(name)
		if err != nil {
			return nil, err
		}
		m := &member{Namespace: ns}
		l.members[name], l.order = m, append(l.order, name)
		if err := ns.Do(func() (err error) {
			m.links, err = netlink.NewHandle(unix.NETLINK_ROUTE)
			return err
		}); err != nil {
			return nil, fmt.Errorf("%s: netlink: %w", name, err)
		}
	}
	return l, nil
}

// SetAlias writes a note on the namespace's loopback interface, which belongs to the namespace alone. Equivalent:
// `ip link set lo alias NOTE`.
func (n *Namespace) SetAlias(note string) error {
	return n.loopback(func(h *netlink.Handle, lo netlink.Link) error { return h.LinkSetAlias(lo, note) })
}

// Alias is the note of SetAlias; empty if there is none. Equivalent: `ip link show lo`.
func (n *Namespace) Alias() (note string, err error) {
	err = n.loopback(func(_ *netlink.Handle, lo netlink.Link) error {
		note = lo.Attrs().Alias
		return nil
	})
	return note, err
}

func (n *Namespace) loopback(do func(*netlink.Handle, netlink.Link) error) error {
	err := n.Do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		lo, err := h.LinkByName("lo")
		if err != nil {
			return err
		}
		return do(h, lo)
	})
	if err != nil {
		return fmt.Errorf("%s: lo: %w", n.name, err)
	}
	return nil
}
