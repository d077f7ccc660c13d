package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/scenario/build"
)

// answer is what the holder says when it has built the lab, or could not.
type answer struct {
	NamesDir   string            `json:"namesDir,omitempty"`
	Namespaces map[string]uint64 `json:"namespaces,omitempty"`
	Error      string            `json:"error,omitempty"`
	Hint       string            `json:"hint,omitempty"`
	// Unsupported tells that this machine or user cannot.
	Unsupported bool `json:"unsupported,omitempty"`
}

// keep is the line that lets the holder stay; without it, it ends with its stdin.
const keep = "keep"

// UpHeld builds the lab of a new record as an ordinary user: a holder does it, in namespaces of its own, and stays. Args
// is the command line of a process that calls Hold, to which the record's ID is added; mark is a NAME=VALUE that its
// environment has besides this process's own, by which it knows that it is in a user namespace. If it fails, or ctx ends before it
// is done, nothing is left. The error of a holder that could not be started matches ErrHolder.
func UpHeld(ctx context.Context, s *Store, r *Record, mark string, args ...string) (err error) {
	unlock, err := s.begin(r)
	if err != nil {
		return err
	}
	defer unlock()
	h, err := startHolder(mark, append(args, r.Name, r.ID))
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrHolder, err), s.remove(r.Name))
	}
	stop := context.AfterFunc(ctx, h.end)
	defer stop()
	if err := h.build(r); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		h.end()
		_ = h.process.Wait()
		return errors.Join(err, s.remove(r.Name))
	}
	if err := h.keep(ctx, s, r); err != nil {
		h.end()
		_ = h.process.Wait()
		return errors.Join(err, s.remove(r.Name))
	}
	return h.process.Process.Release()
}

// ErrHolder is matched if there can be no user namespace.
var ErrHolder = errors.New("start the lab's process")

// holder is a holder seen by the process that starts it.
type holder struct {
	process *exec.Cmd
	stdin   *os.File
	stdout  *os.File
}

// startHolder starts a process in user, mount and network namespaces of its own, and in a session of its own, so that
// it outlives the terminal. Equivalent: `setsid unshare --user --map-root-user --mount --net`.
func startHolder(mark string, args []string) (*holder, error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), stdin.Close())
	}
	child := exec.Command("/proc/self/exe")
	child.Args, child.Dir = args, "/"
	child.Stdin, child.Stdout = in, out
	child.Env = append(os.Environ(), mark)
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Setsid:      true,
	}
	err = errors.Join(child.Start(), in.Close(), out.Close())
	h := &holder{child, stdin, stdout}
	if err != nil {
		h.end()
		return nil, err
	}
	return h, nil
}

// end lets the holder go: one that has not been told to stay ends when its stdin does.
func (h *holder) end() { _ = errors.Join(h.stdin.Close(), h.stdout.Close()) }

// build lets the holder build the lab.
func (h *holder) build(r *Record) error {
	if err := json.NewEncoder(h.stdin).Encode(r); err != nil {
		return fmt.Errorf("the lab's process: %w", err)
	}
	var a answer
	if err := json.NewDecoder(h.stdout).Decode(&a); err != nil {
		return fmt.Errorf("the lab's process ended before the lab was up: %w", err)
	}
	if a.Error != "" {
		err := errors.New(a.Error)
		if a.Unsupported {
			return &build.Unsupported{What: a.Error, Hint: a.Hint}
		}
		return err
	}
	r.NamesDir, r.Namespaces = a.NamesDir, a.Namespaces
	return nil
}

// keep notes the lab as up and lets the holder stay.
func (h *holder) keep(ctx context.Context, s *Store, r *Record) error {
	pid := h.process.Process.Pid
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	r.Holder, r.Complete = &Process{pid, start}, true
	if err := s.Save(r); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(h.stdin, keep)
	// The holder closes its stdout when it has understood.
	_, _ = io.Copy(io.Discard, h.stdout)
	return err
}

// Hold is the life of a holder: it reads a record, builds the lab, tells so, and stays until it is ended by a signal.
// It must be started by UpHeld.
func Hold(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	data, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	word := make(chan string, 1)
	go func() {
		line, _ := lines.ReadString('\n')
		if strings.TrimSpace(line) != keep {
			cancel() // the one who asked for the lab has gone
		}
		word <- line
	}()
	if err := json.NewEncoder(out).Encode(buildHeld(ctx, r)); err != nil {
		return err
	}
	if strings.TrimSpace(<-word) != keep {
		return nil
	}
	if err := detach(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func buildHeld(ctx context.Context, r *Record) answer {
	dir, err := privateNames(r)
	if err == nil {
		r.NamesDir = dir
		err = raise(ctx, r)
	}
	if err == nil {
		return answer{NamesDir: r.NamesDir, Namespaces: r.Namespaces}
	}
	err = build.AsUnsupported(err)
	a := answer{Error: err.Error()}
	var cannot *build.Unsupported
	if errors.As(err, &cannot) {
		a.Hint, a.Unsupported = cannot.Hint, true
	}
	return a
}

// detach lets go of everything that belongs to the terminal or the process that started this one.
func detach() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return null.Close()
}

// privateNames readies a folder for names that only this mount namespace has: /run/netns, so that `ip netns` works in
// the lab, or where that cannot be had, one beside the lab's record.
func privateNames(r *Record) (string, error) {
	s, err := UserStore()
	if err != nil {
		return "", err
	}
	if err := privateNetns(filepath.Join(s.folder(r.Name), "run")); err == nil {
		return netnsDir, nil
	}
	dir := filepath.Join(s.folder(r.Name), "netns")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return dir, mountNames(dir)
}

// mountNames puts an empty folder over another, shared with the mount namespaces that are made from this one, so that
// they see pods that come later.
func mountNames(dir string) error {
	if err := unix.Mount("ctsim", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("tmpfs on %s: %w", dir, err)
	}
	return unix.Mount("", dir, "none", unix.MS_SHARED, "")
}

// privateNetns makes /run/netns. Where the machine has none, and an ordinary user may not make it, /run is put together
// anew: a folder in memory with everything that is in it, mounted, and netns besides. It is made at the path draft.
func privateNetns(draft string) error {
	if _, err := os.Stat(netnsDir); err == nil {
		return mountNames(netnsDir)
	}
	entries, err := os.ReadDir("/run")
	if err != nil {
		return err
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("ctsim", draft, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("tmpfs on %s: %w", draft, err)
	}
	defer func() { _ = errors.Join(unix.Unmount(draft, unix.MNT_DETACH), os.Remove(draft)) }()
	for _, e := range entries {
		if err := carry(filepath.Join("/run", e.Name()), filepath.Join(draft, e.Name()), e); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(draft, "netns"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount(draft, "/run", "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return mountNames(netnsDir)
}

// carry makes something of one folder appear in another.
func carry(from, to string, e os.DirEntry) error {
	switch {
	case e.Type()&os.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case e.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	default:
		if err := os.WriteFile(to, nil, 0o600); err != nil {
			return err
		}
	}
	if err := unix.Mount(from, to, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", from, err)
	}
	return nil
}

// arguments are the words of a process's command line.
func arguments(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return strings.Split(string(data), "\x00")
}
