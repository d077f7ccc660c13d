package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ctsim/ctsim/dataplane"
)

// cure is an error that knows what mends it.
type cure struct {
	err  error
	mend string
}

func (c *cure) Error() string { return c.err.Error() }
func (c *cure) Unwrap() error { return c.err }

// buildsOn is the error of a check that could not ask, because what another check is about, or something else, is
// missing.
type buildsOn struct {
	check string
	err   error
}

func (b *buildsOn) Error() string {
	if slices.Contains(Names(), b.check) {
		return "could not be asked without " + b.check // whose own finding says why
	}
	return fmt.Sprintf("could not be asked without %s: %s", b.check, b.err)
}
func (b *buildsOn) Unwrap() error { return b.err }

// NotAsked is the error of a check that could not ask because something else is missing: its finding is Unknown.
func NotAsked(without string, err error) error { return &buildsOn{without, err} }

// judge turns what a check's probe gave into its finding.
func (c check) judge(m Machine, err error) Finding {
	f := Finding{Check: c.name, Status: OK, Needed: c.need == needed || c.need == unlessRoot && !m.Root, For: c.serves}
	const limit = "file-descriptors"
	if out := errors.Is(err, syscall.EMFILE); out && c.name != limit {
		err = &buildsOn{limit, err}
	}
	switch {
	case err == nil:
		return f
	case errors.As(err, new(*buildsOn)):
		f.Status = Unknown
	default:
		f.Status, f.Mend = Missing, c.mend(m, err)
	}
	f.Error = strings.Join(strings.Fields(err.Error()), " ")
	return f
}

// mend is the command that helps against an error, or a comment for the shell where no command does.
func (c check) mend(m Machine, err error) string {
	var known *cure
	switch {
	case errors.As(err, &known):
		return known.mend
	case errors.Is(err, dataplane.ErrNotInstalled), tooOld(err):
		return install("iptables", c.name)
	case forbidden(err) && m.Root:
		return "# root is not allowed it here; in a container: docker run --privileged …"
	case forbidden(err):
		return m.WithRoot
	case len(c.modules) == 1:
		return "sudo modprobe " + c.modules[0]
	case len(c.modules) > 1:
		return "sudo modprobe -a " + strings.Join(c.modules, " ")
	}
	return "# needs a kernel that has it; see docs/doctor.md"
}

// tooOld tells whether the iptables command itself lacks something, rather than the kernel.
func tooOld(err error) bool {
	return strings.Contains(err.Error(), "Couldn't load") || strings.Contains(err.Error(), "unknown option")
}

// forbidden tells whether an error means that the user may not do it, rather than that it is not there. Commands say so
// in words.
func forbidden(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) && (errno == syscall.EPERM || errno == syscall.EACCES || errno == syscall.EROFS) {
		return true
	}
	return errors.Is(err, fs.ErrPermission) ||
		strings.Contains(err.Error(), "Permission denied") || strings.Contains(err.Error(), "Operation not permitted")
}

// packageManagers are the commands that install packages, with what they call iptables: all of it, and the part that is
// a package of its own.
var packageManagers = []struct {
	program, install string
	names            map[string]string
}{
	{"apt-get", "apt-get install", nil},
	{"dnf", "dnf install", map[string]string{"iptables": "iptables-nft", "iptables-legacy": "iptables-legacy", "iptables-nft": "iptables-nft"}},
	{"zypper", "zypper install", map[string]string{"iptables-nft": "iptables-backend-nft"}},
	{"apk", "apk add", map[string]string{"iptables-legacy": "iptables-legacy"}},
	{"pacman", "pacman -S", map[string]string{"iptables-legacy": "iptables-legacy"}},
}

// packageFolders is where package managers are.
var packageFolders = []string{"/usr/bin", "/bin", "/sbin", "/usr/sbin"}

// install is the command that installs a package with this machine's package manager; check may have one of its own.
func install(name, check string) string {
	for _, p := range packageManagers {
		for _, folder := range packageFolders {
			if _, err := os.Stat(filepath.Join(folder, p.program)); err != nil {
				continue
			}
			if own, ok := p.names[check]; ok {
				name = own
			} else if own, ok := p.names[name]; ok {
				name = own
			}
			return "sudo " + p.install + " " + name
		}
	}
	return "# install " + name + " with this machine's package manager"
}
