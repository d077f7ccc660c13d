package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
)

// TestMend: every check has an answer to every kind of failure, and what would not help is not proposed.
func TestMend(t *testing.T) {
	packageFolders = []string{t.TempDir()}
	root, user := Machine{Root: true}, Machine{WithRoot: "sudo ./ctsim doctor"}
	for _, c := range checks {
		modprobe := "# needs a kernel that has it; see docs/doctor.md"
		switch len(c.modules) {
		case 0:
		case 1:
			modprobe = "sudo modprobe " + c.modules[0]
		default:
			modprobe = "sudo modprobe -a " + strings.Join(c.modules, " ")
		}
		for _, x := range []struct {
			machine Machine
			err     error
			status  Status
			mend    string
		}{
			{root, nil, OK, ""},
			{root, syscall.EOPNOTSUPP, Missing, modprobe},
			{user, syscall.EAFNOSUPPORT, Missing, modprobe},
			{user, fmt.Errorf("open /proc/sys/net: %w", os.ErrNotExist), Missing, modprobe},
			{user, syscall.EPERM, Missing, "sudo ./ctsim doctor"},
			{user, &os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, Missing, "sudo ./ctsim doctor"},
			{root, syscall.EPERM, Missing, "# root is not allowed it here; in a container: docker run --privileged …"},
			{root, &buildsOn{"something", errors.New("x")}, Unknown, ""},
			{root, fmt.Errorf("x: %w", dataplane.ErrNotInstalled), Missing, "# install iptables with this machine's package manager"},
			{root, errors.New("Couldn't load match `x':No such file"), Missing, "# install iptables with this machine's package manager"},
			{root, errors.New("Extension x revision 0 not supported, missing kernel module?"), Missing, modprobe},
			{user, errors.New("Could not fetch rule set generation id: Permission denied (you must be root)"), Missing, "sudo ./ctsim doctor"},
			{root, &cure{syscall.ENOSPC, "sudo sysctl -w x=1"}, Missing, "sudo sysctl -w x=1"},
		} {
			f := c.judge(x.machine, x.err)
			if f.Status != x.status || f.Mend != x.mend || (f.Error == "") != (x.err == nil) {
				t.Errorf("%s: %v gives %+v, want %s and %q", c.name, x.err, f, x.status, x.mend)
			}
		}
		if f := c.judge(root, fmt.Errorf("pipe2: %w", syscall.EMFILE)); c.name != "file-descriptors" && f.Status != Unknown {
			t.Errorf("%s: without descriptors it is %s", c.name, f.Status)
		}
	}
}

// TestInstall: the package manager that is there, and what it calls a flavour of iptables.
func TestInstall(t *testing.T) {
	for manager, want := range map[string][2]string{
		"apt-get": {"sudo apt-get install iptables", "sudo apt-get install iptables"},
		"dnf":     {"sudo dnf install iptables-nft", "sudo dnf install iptables-legacy"},
		"zypper":  {"sudo zypper install iptables", "sudo zypper install iptables"},
		"apk":     {"sudo apk add iptables", "sudo apk add iptables-legacy"},
		"pacman":  {"sudo pacman -S iptables", "sudo pacman -S iptables-legacy"},
	} {
		folder := t.TempDir()
		packageFolders = []string{folder}
		if err := os.WriteFile(filepath.Join(folder, manager), nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if got := [2]string{install("iptables", "statistic-match"), install("iptables", "iptables-legacy")}; got != want {
			t.Errorf("%s: %q, want %q", manager, got, want)
		}
	}
}

// TestNeed: a user namespace is needed by those who are not root.
func TestNeed(t *testing.T) {
	c := check{name: "x", need: unlessRoot}
	if c.judge(Machine{Root: true}, nil).Needed || !c.judge(Machine{}, nil).Needed {
		t.Error("needed by root, or not by others")
	}
}
