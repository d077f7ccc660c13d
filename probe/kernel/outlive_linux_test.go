package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Nothing outlives the process, not even when it is killed: neither programs nor maps nor what attaches them.
func TestKernelKilled(t *testing.T) {
	needTrace(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=watch")
	child.Stderr = os.Stderr
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var left []kernelObject
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "end"; {
		var o kernelObject
		if _, err := fmt.Sscan(lines.Text(), &o.kind, &o.id); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		left = append(left, o)
	}
	if len(left) < 10 {
		t.Errorf("the child made %v, want more", left)
	}
	for _, o := range left {
		if !o.lives(t) {
			t.Errorf("%v of the child was not found while it lived", o)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The error is that it was killed.
	_ = child.Wait()

	// The kernel frees them some time after the last descriptor is closed, and tells nobody.
	deadline := time.Now().Add(patience)
	for len(left) > 0 {
		if left[0].lives(t) {
			if time.Now().After(deadline) {
				t.Fatalf("%v outlived the process", left)
			}
			time.Sleep(time.Millisecond)
			continue
		}
		left = left[1:]
	}
}

// kernelObject is a program, map or link in the kernel, as bpftool lists them.
type kernelObject struct {
	kind string
	id   uint32
}

func (o kernelObject) lives(t *testing.T) bool {
	t.Helper()
	next := map[string]func(uint32) (uint32, error){
		"program": func(id uint32) (uint32, error) {
			n, err := ebpf.ProgramGetNextID(ebpf.ProgramID(id))
			return uint32(n), err
		},
		"map": func(id uint32) (uint32, error) {
			n, err := ebpf.MapGetNextID(ebpf.MapID(id))
			return uint32(n), err
		},
		"link": func(id uint32) (uint32, error) {
			var all link.Iterator
			defer all.Close()
			for all.Next() {
				if uint32(all.ID) > id {
					return uint32(all.ID), nil
				}
			}
			return 0, errors.Join(all.Err(), os.ErrNotExist)
		},
	}[o.kind]
	n, err := next(o.id - 1)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil && n == o.id
}

// Where something is missing, Watch says what, on one line.
func TestKernelUnavailable(t *testing.T) {
	if os.Geteuid() != 0 || inUserNamespace(t) {
		t.Skip("needs root, to take something away from it")
	}
	needTrace(t)
	tests := []struct {
		child   string
		process syscall.SysProcAttr
		want    string
	}{
		{"try", syscall.SysProcAttr{}, "nothing is missing"},
		{
			"try",
			syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{Size: 1}},
			},
			"root in the initial user namespace (CAP_BPF and CAP_PERFMON)",
		},
		{
			"try without BTF",
			syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS},
			"BTF of the kernel (CONFIG_DEBUG_INFO_BTF, /sys/kernel/btf/vmlinux)",
		},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), childEnv+"="+test.child)
			child.SysProcAttr = &test.process
			out, err := child.Output()
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != test.want {
				t.Errorf("got %q, want %q", out, test.want)
			}
		})
	}
}
