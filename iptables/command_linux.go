package iptables

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-iptables/iptables"

	"github.com/ctsim/ctsim/dataplane"
)

// Flavour says which of the kernel's two rule engines iptables works on. The zero value is the one that the command
// `iptables` stands for on this machine.
type Flavour string

// The flavours. A namespace should see one of them only: the kernel would walk the rules of both.
const (
	NFT    Flavour = "nft"    // iptables-nft: rules in nf_tables
	Legacy Flavour = "legacy" // iptables-legacy: rules in ip_tables
)

const (
	lockWait    = 5                // seconds to wait for the lock of the legacy flavour, iptables -w
	execTimeout = 60 * time.Second // after which a command that hangs is killed
)

// useOwnLock makes the legacy flavour lock the network namespace it works in, rather than /run/xtables.lock, which is
// one for all namespaces, is not writable without root and stays behind. flock takes any inode, the namespace's own
// too: each namespace has a lock of its own, shared by all processes that work in it, and there is no file to leave.
// It goes by the environment since go-iptables knows no other way; a shell started in a lab inherits it, rightly.
var useOwnLock = sync.OnceValue(func() error { return os.Setenv(lockVariable, ownLock) })

const (
	lockVariable = "XTABLES_LOCKFILE"
	ownLock      = "/proc/self/ns/net"
)

// programs are the commands of one flavour.
type programs struct {
	flavour                 Flavour
	iptables, restore, save string // paths
}

// sbin is where iptables stands on machines whose users do not have it in PATH.
var sbin = []string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

func findPrograms(flavour Flavour) (programs, error) {
	var names []string
	switch flavour {
	case "":
		names = []string{"iptables", "iptables-nft", "iptables-legacy"}
	case NFT, Legacy:
		names = []string{"iptables-" + string(flavour), "iptables"}
	default:
		return programs{}, fmt.Errorf("unknown iptables flavour %q, expected nft, legacy or nothing", string(flavour))
	}
	for _, name := range names {
		path, ok := lookPath(name)
		if !ok {
			continue
		}
		// save and restore stand beside it, under the same name.
		p := programs{iptables: path, restore: path + "-restore", save: path + "-save"}
		var err error
		if p.flavour, err = flavourOf(path); err != nil {
			return programs{}, err
		}
		if flavour == "" || flavour == p.flavour {
			return p, nil
		}
	}
	return programs{}, fmt.Errorf("iptables is %w: no %s in PATH, %s; install it, for instance: sudo apt-get install iptables",
		dataplane.ErrNotInstalled, strings.Join(names, " or "), strings.Join(sbin, ", "))
}

func lookPath(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

// flavourOf tells what a command called iptables is. It is a link to xtables-nft-multi or xtables-legacy-multi nearly
// everywhere, which saves asking it.
func flavourOf(path string) (Flavour, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		switch base := filepath.Base(target); {
		case strings.Contains(base, "nft"):
			return NFT, nil
		case strings.Contains(base, "legacy"):
			return Legacy, nil
		}
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	if bytes.Contains(version, []byte("nf_tables")) {
		return NFT, nil
	}
	return Legacy, nil // before 1.8 there was no other, and no word about it
}

// waitDelay is how long a command's output may stay open after the command has ended: as long as a program that was being
// started meanwhile has a copy of it, which is short, but on a busy machine not as short as one would think.
const waitDelay = 10 * time.Second

// run executes a command with an input and gives its output. The error names the command and holds what it said. It
// must be called in a namespace, that is, on a locked thread: the thread's end is what kills a command that is left.
func run(stdin, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), execTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = waitDelay
	// A command that waits must not outlive a ctsim that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("killed after %v", execTimeout)
	}
	if err != nil {
		return "", &CommandError{Command: strings.Join(cmd.Args, " "), Said: clean(stderr.String()), err: err}
	}
	return stdout.String(), nil
}

// CommandError is the failure of an iptables command.
type CommandError struct {
	// Command is the command with its arguments.
	Command string
	// Said is what it wrote to stderr, on one line.
	Said string

	err error
}

// Error names the command, how it ended and what it said.
func (e *CommandError) Error() string {
	msg := e.Command + ": " + e.err.Error()
	if e.Said != "" {
		msg += ": " + e.Said
	}
	return msg
}

// Unwrap is the reason given by the operating system, an *exec.ExitError for instance.
func (e *CommandError) Unwrap() error { return e.err }

func clean(stderr string) string {
	return strings.Join(strings.FieldsFunc(stderr, func(r rune) bool { return r == '\n' }), "; ")
}

// client is go-iptables for one command. Making one costs a process (iptables --version), so it is kept; it knows
// nothing of namespaces.
func client(path string) (*iptables.IPTables, error) {
	clients.Lock()
	if clients.byPath == nil {
		clients.byPath = map[string]func() (*iptables.IPTables, error){}
	}
	ask := clients.byPath[path]
	if ask == nil {
		ask = sync.OnceValues(func() (*iptables.IPTables, error) {
			return iptables.New(iptables.Path(path), iptables.Timeout(lockWait))
		})
		clients.byPath[path] = ask
	}
	clients.Unlock()

	c, err := ask()
	if err != nil {
		clients.Lock()
		delete(clients.byPath, path) // so that the next caller tries again
		clients.Unlock()
		return nil, fmt.Errorf("%s --version: %w", path, err)
	}
	return c, nil
}

var clients struct {
	sync.Mutex
	byPath map[string]func() (*iptables.IPTables, error)
}

// apply makes the calls of one edit.
func (e edit) apply(c *iptables.IPTables) error {
	var err error
	switch e.op {
	case opNewChain:
		err = c.NewChain(e.table, e.chain)
	case opAppend:
		err = c.Append(e.table, e.chain, e.rule...)
	case opInsert:
		err = c.Insert(e.table, e.chain, e.number, e.rule...)
	case opReplace:
		err = c.Replace(e.table, e.chain, e.number, e.rule...)
	case opDelete:
		err = c.DeleteById(e.table, e.chain, e.number)
	case opDeleteChain:
		err = c.ClearAndDeleteChain(e.table, e.chain)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("change chain %s of table %s: %w", e.chain, e.table, trimmed{err})
}

// trimmed is an error of go-iptables without the line break at its end.
type trimmed struct{ error }

func (t trimmed) Error() string { return clean(t.error.Error()) }
func (t trimmed) Unwrap() error { return t.error }
