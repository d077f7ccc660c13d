package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Traced is what became of a command that was watched call by call.
type Traced struct {
	// Calls are its system calls that change a file system, in order, up to the one at which it was killed.
	Calls []string
	// Killed tells that it was; else it has ended by itself.
	Killed bool
	// Code is what a shell shows of how it ended, if it did.
	Code int
}

// KillAt starts a command and kills it, as by SIGKILL, when it is about to make the nth of the system calls that change a
// file system (1 is the first): what it does before, it has done, and nothing after. All its threads and children count,
// as long as they run the same program. With n = 0 it is not killed.
func KillAt(t testing.TB, cmd *exec.Cmd, n int) Traced {
	t.Helper()
	k := &killer{n: n, processes: map[int]int{}}
	var tracer int
	done := make(chan error)
	go onThreadOfItsOwn(func() {
		tracer = unix.Gettid()
		done <- k.run(cmd)
	})
	if err := <-done; err != nil {
		t.Fatalf("trace %s: %v", cmd, err)
	}
	// With its thread the tracing ends, and whatever is still there goes on, unless it had just begun: that stops first.
	for unix.Access(fmt.Sprintf("/proc/self/task/%d", tracer), unix.F_OK) == nil {
		time.Sleep(time.Millisecond)
	}
	for tid, pid := range k.processes {
		if tid == k.first {
			continue
		}
		_ = unix.Kill(pid, unix.SIGCONT)
	}
	return k.Traced
}

// onThreadOfItsOwn runs f on a thread that ends with it. The process's first thread never ends.
func onThreadOfItsOwn(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		onThreadOfItsOwn(f)
	}()
	<-ended
	runtime.UnlockOSThread()
}

type killer struct {
	Traced
	n, first int
	program  string
	// processes are the traced threads and the process that each belongs to.
	processes map[int]int
}

func (k *killer) run(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	first := cmd.Process.Pid
	defer func() { _ = cmd.Process.Release() }()
	var status unix.WaitStatus
	if _, err := unix.Wait4(first, &status, unix.WALL, nil); err != nil {
		return err
	}
	err := unix.PtraceSetOptions(first, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEFORK|
		unix.PTRACE_O_TRACEVFORK|unix.PTRACE_O_TRACEEXEC)
	if err != nil {
		return err
	}
	k.program, k.first, k.processes[first] = cmd.Path, first, first
	for _, word := range cmd.Args[1:] { // what nsenter and the like execute is what is meant
		if filepath.IsAbs(word) && filepath.Base(cmd.Path) == "nsenter" {
			k.program = word
			break
		}
	}
	return k.loop(first)
}

func (k *killer) loop(first int) error {
	tid, deliver := first, 0
	for {
		if err := unix.PtraceSyscall(tid, deliver); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("PTRACE_SYSCALL: %w", err)
		}
	next:
		var status unix.WaitStatus
		var err error
		// Children of this thread only: other tests have theirs.
		if tid, err = unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil); err != nil {
			if errors.Is(err, unix.EINTR) {
				goto next
			}
			return fmt.Errorf("wait: %w", err)
		}
		if status.Exited() || status.Signaled() {
			delete(k.processes, tid)
			if tid == first {
				k.Code = status.ExitStatus()
				if status.Signaled() {
					k.Code = 128 + int(status.Signal())
				}
				return nil
			}
			goto next
		}
		if deliver, err = k.stopped(tid, status); err != nil {
			return err
		}
		if deliver < 0 {
			goto next
		}
	}
}

// letGo is that a thread is no longer traced.
const letGo = -1

// stopped looks at a thread that has stopped, and says which signal it is to go on with.
func (k *killer) stopped(tid int, status unix.WaitStatus) (deliver int, err error) {
	_, known := k.processes[tid]
	if !known {
		k.processes[tid] = processOf(tid)
	}
	switch signal := status.StopSignal(); {
	case signal == unix.SIGTRAP|0x80:
		return 0, k.entering(tid)
	case signal == unix.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_EXEC:
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", tid))
		if exe != k.program && k.processes[tid] != k.first {
			return letGo, ignoringESRCH(unix.PtraceDetach(tid))
		}
		return 0, nil
	case signal == unix.SIGTRAP, signal == unix.SIGSTOP && !known:
		return 0, nil
	default:
		return int(signal), nil
	}
}

func processOf(tid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	_, rest, _ := strings.Cut(string(data), "\nTgid:")
	pid := tid
	_, _ = fmt.Sscan(rest, &pid)
	return pid
}

// call is struct ptrace_syscall_info at the entry of a system call.
type call struct {
	op   uint8
	_    [3]byte
	arch uint32
	_    [2]uint64
	nr   uint64
	args [6]uint64
	_    [2]uint64
}

// entering counts the call that a thread is about to make, if it is one of those that count, and kills its process if it
// is the one.
func (k *killer) entering(tid int) error {
	var c call
	const getSyscallInfo, entry = 0x420e, 1
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)), 0, 0); errno != 0 {
		return ignoringESRCH(errno) // another thread may have ended it
	}
	if c.op != entry || k.Killed {
		return nil
	}
	said := describe(tid, c)
	if said == "" {
		return nil
	}
	k.Calls = append(k.Calls, said)
	if len(k.Calls) != k.n {
		return nil
	}
	k.Killed = true
	return ignoringESRCH(unix.Kill(k.processes[tid], unix.SIGKILL))
}

func ignoringESRCH(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// changing are the system calls that change a file system, and which argument is the path that says most.
var changing = map[uint64]struct {
	name string
	path int
}{
	unix.SYS_MKDIRAT: {"mkdirat", 1}, unix.SYS_UNLINKAT: {"unlinkat", 1}, unix.SYS_RENAMEAT: {"renameat", 3},
	unix.SYS_RENAMEAT2: {"renameat2", 3}, unix.SYS_LINKAT: {"linkat", 3}, unix.SYS_SYMLINKAT: {"symlinkat", 2},
	unix.SYS_MKNODAT: {"mknodat", 1}, unix.SYS_OPENAT: {"openat", 1}, unix.SYS_MOUNT: {"mount", 1}, unix.SYS_UMOUNT2: {"umount2", 0},
	unix.SYS_FCHMODAT: {"fchmodat", 1}, unix.SYS_FCHOWNAT: {"fchownat", 1}, unix.SYS_FCHMOD: {"fchmod", -1},
	unix.SYS_FCHOWN: {"fchown", -1}, unix.SYS_FTRUNCATE: {"ftruncate", -1}, unix.SYS_WRITE: {"write", -1}, unix.SYS_PWRITE64: {"pwrite64", -1},
}

// describe is a call in words; empty if it changes no file system.
func describe(tid int, c call) string {
	which, ok := changing[c.nr]
	if !ok || c.nr == unix.SYS_OPENAT && c.args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
		return ""
	}
	if which.path >= 0 {
		return which.name + " " + filepath.Base(text(tid, c.args[which.path]))
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, c.args[0]))
	info, err2 := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", tid, c.args[0]))
	if err != nil || err2 != nil || !filepath.IsAbs(path) || strings.HasPrefix(path, "/proc/") || !info.Mode().IsRegular() && !info.IsDir() {
		return "" // a pipe, a socket, a sysctl
	}
	return which.name + " " + filepath.Base(path)
}

// text is a string in the memory of a thread.
func text(tid int, address uint64) string {
	var s []byte
	word := make([]byte, 8)
	for len(s) < unix.PathMax {
		if _, err := unix.PtracePeekData(tid, uintptr(address)+uintptr(len(s)), word); err != nil {
			break
		}
		for _, b := range word {
			if b == 0 {
				return string(s)
			}
			s = append(s, b)
		}
	}
	return string(s)
}
