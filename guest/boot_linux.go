package guest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Job is a program to run on another kernel.
type Job struct {
	Kernel Kernel
	// Program is the path of a static executable, Args what it is called with.
	Program string
	Args    []string
	// Modules are the kernel modules to load, with all that they need; names that the kernel has no module of are passed over.
	Modules []string
	// Inputs are files for the program, by name; see InputPath.
	Inputs map[string][]byte
	// Stdout and Stderr get what the program writes, as it does.
	Stdout, Stderr io.Writer
	// Started, if not nil, is called with the guest's `uname -r` when it has booted.
	Started func(release string)

	// boot and silence are shorter in tests than bootWithin and silentFor.
	boot, silence time.Duration
}

// CannotBoot is the error of a kernel that does not come so far as to run the program.
type CannotBoot struct {
	Kernel string
	Why    error
	// Console is the end of what the kernel said.
	Console string
}

func (e *CannotBoot) Error() string { return fmt.Sprintf("%s: it does not boot: %v", e.Kernel, e.Why) }

// Unwrap is the reason.
func (e *CannotBoot) Unwrap() error { return e.Why }

const (
	// qemu is the program that plays the machine.
	qemu = "qemu-system-x86_64"
	// firstWord is how long a kernel may take to its first word, and firstWords what that is on its console.
	firstWord  = 8 * time.Second
	firstWords = "Linux version"
	// bootWithin is how long a kernel may take to the first process, emulated on a busy machine.
	bootWithin = 3 * time.Minute
	// silentFor is how long a guest may say nothing: many times its heartbeat.
	silentFor = 90 * time.Second
	// memory is the guest's, in MiB: the initramfs takes 100 of it.
	memory = "1024"
	// consoleTail is how much of the kernel's last words is kept.
	consoleTail = 4 << 10
)

// Run boots the kernel, runs the program and gives its exit code. The error is *CannotBoot if it comes to nothing before the
// program runs, or the guest dies. When ctx ends so does the guest. It needs qemu, and iptables to put into the guest; where
// /dev/kvm may be opened it is fast, else the machine is emulated.
func Run(ctx context.Context, job Job) (code int, err error) {
	job.boot, job.silence = cmp.Or(job.boot, bootWithin), cmp.Or(job.silence, silentFor)
	dir, err := os.MkdirTemp("", "ctsim-guest-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := job.pack(filepath.Join(dir, "initramfs")); err != nil {
		return 0, fmt.Errorf("what the guest needs: %w", err)
	}
	for _, accelerator := range accelerators() {
		m, err := job.start(ctx, dir, accelerator)
		if err == nil {
			code, err = m.attend(ctx, accelerator == "kvm")
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if m == nil {
			return 0, err
		}
		if err == nil || !errors.Is(err, errDead) {
			return code, m.explain(err)
		}
	}
	return 0, &CannotBoot{job.Kernel.Release, errDead, ""}
}

// errDead is the error of a machine on which no kernel says a word: nested virtualisation can be so.
var errDead = errors.New("the kernel has said nothing")

// explain makes the error of a guest one with the kernel's last words.
func (m *machine) explain(err error) error {
	if err == nil {
		return nil
	}
	console, _ := os.ReadFile(m.console)
	return &CannotBoot{m.job.Kernel.Release, err, string(console[max(0, len(console)-consoleTail):])}
}

// pack writes the initramfs.
func (j *Job) pack(path string) error {
	modules, err := loadOrder(j.Kernel.Modules, j.Modules)
	if err != nil {
		return err
	}
	files, err := iptablesFiles()
	if err != nil {
		return err
	}
	args, err := json.Marshal(j.Args)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(initramfs(f, j.Program, modules, files, j.Inputs, args), f.Close())
}

// machine is a guest under way.
type machine struct {
	job     *Job
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	out     io.ReadCloser
	said    *bytes.Buffer // qemu's own stderr
	console string
}

// accelerators are what qemu is to run the guest with, one after the other: the processor itself, where it may, or else
// emulation.
func accelerators() []string {
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return []string{"tcg"}
	}
	_ = unix.Close(fd)
	return []string{"kvm", "tcg"}
}

// start starts qemu: no disk, no network, nothing but two serial lines.
func (j *Job) start(ctx context.Context, dir, accelerator string) (*machine, error) {
	path, err := exec.LookPath(qemu)
	if err != nil {
		return nil, fmt.Errorf("%w; hint: sudo apt-get install qemu-system-x86", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &machine{job: j, cancel: cancel, console: filepath.Join(dir, "console."+accelerator), said: &bytes.Buffer{}}
	m.cmd = exec.CommandContext(ctx, path, "-accel", accelerator, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-cpu", "max", "-smp", "2", "-m", memory, "-kernel", j.Kernel.Image, "-initrd", filepath.Join(dir, "initramfs"),
		"-append", "console=ttyS0 panic=-1 rdinit="+programPath, "-serial", "file:"+m.console, "-serial", "stdio")
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // Ctrl-C is for ctsim, which ends it
	m.cmd.Stderr = m.said
	m.cmd.WaitDelay = 10 * time.Second
	if m.out, err = m.cmd.StdoutPipe(); err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return m, nil
}

// attend hands over what the guest says until it has ended, and sees to it that it has. Unsure is an accelerator that may not work.
func (m *machine) attend(ctx context.Context, unsure bool) (code int, err error) {
	var dead atomic.Bool
	mute := time.AfterFunc(firstWord, func() {
		if console, _ := os.ReadFile(m.console); unsure && !bytes.Contains(console, []byte(firstWords)) {
			dead.Store(true)
			m.cancel()
		}
	})
	watchdog := time.AfterFunc(m.job.boot, m.cancel)
	code, err = m.listen(watchdog)
	mute.Stop()
	late := !watchdog.Stop()
	m.cancel() // it has said all
	_ = m.cmd.Wait()
	switch {
	case err == nil, ctx.Err() != nil:
	case dead.Load():
		err = errDead
	case late:
		err = fmt.Errorf("it was silent for too long (%s to boot, %s after that)", m.job.boot, m.job.silence)
	case m.said.Len() > 0:
		err = fmt.Errorf("%s: %s", qemu, bytes.TrimSpace(m.said.Bytes()))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the guest ended before the program did")
	}
	return code, err
}

// listen reads the guest's frames until the last.
func (m *machine) listen(watchdog *time.Timer) (code int, err error) {
	in, err := readPreamble(m.out)
	if err != nil {
		return 0, err
	}
	for {
		k, payload, err := in.next()
		if err != nil {
			return 0, err
		}
		watchdog.Reset(m.job.silence)
		switch k {
		case ready:
			if m.job.Started != nil {
				m.job.Started(string(payload))
			}
		case alive:
		case stdout:
			_, err = m.job.Stdout.Write(payload)
		case stderr:
			_, err = m.job.Stderr.Write(payload)
		case ended:
			return strconv.Atoi(string(payload))
		case failed:
			return 0, errors.New(string(payload))
		default:
			err = fmt.Errorf("a frame of kind %q: noise on the serial line", k)
		}
		if err != nil {
			return 0, err
		}
	}
}
