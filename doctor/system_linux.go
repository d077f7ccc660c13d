package doctor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// userNamespace is shown by being in one that may be used, or else by making one.
func userNamespace(b *bench) error {
	var err error
	if b.machine.UserNamespace == nil {
		if err = b.usable(); err != nil && !forbidden(err) {
			return &buildsOn{"network-namespaces", err}
		}
	} else {
		err = b.machine.UserNamespace(b.ctx)
	}
	setting, mend := UserNamespacesForbidden()
	if err == nil || setting == "" || errors.As(err, new(*buildsOn)) {
		return err
	}
	if !strings.Contains(err.Error(), setting) {
		err = fmt.Errorf("%w (%s)", err, setting)
	}
	return &cure{err, mend}
}

// UserNamespacesForbidden names the setting of this machine that forbids user namespaces to ordinary users, as in "sysctl
// user.max_user_namespaces is 0", and the command that allows them. Both are empty if it is none of the known ones.
func UserNamespacesForbidden() (setting, mend string) {
	for _, s := range []struct{ key, forbids, allows string }{
		{"user.max_user_namespaces", "0", "10000"},
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	} {
		value, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(s.key, ".", "/"))
		if err == nil && strings.TrimSpace(string(value)) == s.forbids {
			return fmt.Sprintf("sysctl %s is %s", s.key, s.forbids), "sudo sysctl -w " + s.key + "=" + s.allows
		}
	}
	return "", ""
}

// sysctls are those of namespaces that have nothing to do with conntrack.
func sysctls(b *bench) error {
	return b.setAndRead(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.tcp_keepalive_time": "60"})
}

func (b *bench) setAndRead(values map[string]string) error {
	return b.within(func(ns *topology.Namespace) error {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if err := set(ns, key, values[key]); err != nil {
				return err
			}
			got, err := ns.Sysctl(key)
			if err != nil {
				return err
			}
			if got != values[key] {
				return fmt.Errorf("%s was set to %s and is %s", key, values[key], got)
			}
		}
		return nil
	})
}

func set(ns *topology.Namespace, key, value string) error {
	err := ns.SetSysctl(key, value)
	if errors.Is(err, unix.EROFS) {
		return &cure{err, "sudo mount -o remount,rw /proc/sys"}
	}
	return err
}

// descriptors opens a descriptor with the number that the n-th would have.
func descriptors(n int) func(*bench) error {
	return func(*bench) error {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer func() { _ = null.Close() }()
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, n-1)
		if err == nil {
			return unix.Close(fd)
		}
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		return &cure{fmt.Errorf("%d open files are allowed, want %d (RLIMIT_NOFILE)", limit.Cur, n),
			fmt.Sprintf("sudo prlimit --pid $$ --nofile=%d", n)}
	}
}
