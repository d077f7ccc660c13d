package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lineDevice is the serial line to the host; the first, ttyS0, is the kernel's console.
const lineDevice = "/dev/ttyS1"

// heartbeat is how often the guest says that it is alive.
const heartbeat = 2 * time.Second

// Init is the guest's first process: it mounts what a program expects, loads the modules, runs the program with its arguments,
// tells the host, and ends the guest. It never returns; where it cannot even tell the host, the kernel's console has the
// reason. It must not be called anywhere else, see InGuest.
func Init() {
	err := mountAll()
	var line *line
	if err == nil {
		line, err = openLine()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ctsim guest:", err)
		end()
	}
	if err := line.run(); err != nil {
		_ = line.say(failed, []byte(err.Error()))
	}
	line.drain()
	end()
}

// InGuest tells whether this process is a guest's first.
func InGuest() bool {
	_, err := os.Stat(argsPath)
	return os.Getpid() == 1 && err == nil
}

// end ends the guest: qemu is told to take a restart for the end, which takes no ACPI.
func end() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {} // a kernel that cannot restart: the host's time limit ends it
}

func mountAll() error {
	for _, m := range []struct{ source, at, kind string }{
		{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}, {"tmpfs", "/tmp", "tmpfs"}, {"tmpfs", "/run", "tmpfs"},
	} {
		if err := unix.Mount(m.source, m.at, m.kind, unix.MS_NOSUID, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// line is the serial line; its methods may be called side by side.
type line struct {
	mu sync.Mutex
	f  *os.File
}

func openLine() (*line, error) {
	f, err := os.OpenFile(lineDevice, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	// Bytes as they are: no line ends made anew, no echo, no signals.
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", lineDevice, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB|unix.CRTSCTS|unix.CBAUD) | unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", lineDevice, err)
	}
	_, err = io.WriteString(f, preamble)
	return &line{f: f}, err
}

func (l *line) say(k kind, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return writeFrame(l.f, k, payload)
}

// drain waits until the line has sent all.
func (l *line) drain() { _ = unix.IoctlSetInt(int(l.f.Fd()), unix.TCSBRK, 1) }

// stream is one of the program's outputs.
type stream struct {
	line *line
	kind kind
}

func (s stream) Write(p []byte) (int, error) { return len(p), s.line.say(s.kind, p) }

// run does the guest's work.
func (l *line) run() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	if err := l.say(ready, []byte(unix.ByteSliceToString(u.Release[:]))); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	data, err := os.ReadFile(argsPath)
	if err != nil {
		return err
	}
	var args []string
	if err := json.Unmarshal(data, &args); err != nil {
		return err
	}
	cmd := exec.Command(programPath, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TERM=dumb"}
	cmd.Stdout, cmd.Stderr = stream{l, stdout}, stream{l, stderr}
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	go l.beat(stop)
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return l.say(ended, []byte(strconv.Itoa(code)))
	}
	return fmt.Errorf("the program: %w", err)
}

func (l *line) beat(stop <-chan struct{}) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			_ = l.say(alive, nil)
		}
	}
}

// loadModules loads what the host has chosen, in its order. One that is there already, or has no device here, is fine; what is
// missing the program will find out.
func loadModules() error {
	paths, err := filepath.Glob(modulesPath + "/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		_ = f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("insmod %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}
