package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// objects are the programs and maps in the kernel and what attaches them. They vanish when their descriptors are closed,
// at the latest with the process.
type objects struct {
	watchObjects
	links []link.Link
}

// load puts the programs into the kernel, not yet attached.
func load(t *types) (*objects, error) {
	spec, err := loadWatch()
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{
		watchVarHasTaiClock:    t.taiClock,
		watchVarHasResetReason: t.hasResetReason(),
		watchVarHasDropSocket:  t.hasDropSocket(),
		watchVarSilentReasons:  t.silent,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	o := &objects{}
	if err := spec.LoadAndAssign(&o.watchObjects, &ebpf.CollectionOptions{Cache: t.cache}); err != nil {
		return nil, refused(err)
	}
	return o, nil
}

// attach starts the programs.
func (o *objects) attach(t *types) error {
	programs := []struct {
		tracepoint string
		program    *ebpf.Program
	}{
		{"tcp_send_reset", o.SendReset},
		{"tcp_receive_reset", o.ReceiveReset},
		{"inet_sk_error_report", o.ErrorReport},
	}
	if t.hasDropReason() {
		programs = append(programs, struct {
			tracepoint string
			program    *ebpf.Program
		}{"kfree_skb", o.Drop})
	}
	for _, p := range programs {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: p.tracepoint, Program: p.program})
		if errors.Is(err, os.ErrNotExist) {
			return &Unavailable{What: fmt.Sprintf("tracepoint %s (Linux 5.14)", p.tracepoint), Err: err}
		}
		if err != nil {
			return refused(fmt.Errorf("attach to tracepoint %s: %w", p.tracepoint, err))
		}
		o.links = append(o.links, l)
	}
	return nil
}

// detach stops the programs: no sample is written after it.
func (o *objects) detach() error {
	var errs []error
	for _, l := range o.links {
		errs = append(errs, l.Close())
	}
	o.links = nil
	return errors.Join(errs...)
}

// lost counts the samples that found the ring buffer full, and the calls of a program that the kernel left out because
// the same program was at work on the same CPU, interrupted. Resets are rare, so such a call may well have been about one
// of ours. Packets are dropped all over a busy host, so for those it says nothing and is not counted.
func (o *objects) lost() (uint64, error) {
	var perCPU []uint64
	if err := o.Lost.Lookup(uint32(0), &perCPU); err != nil {
		return 0, err
	}
	var n uint64
	for _, v := range perCPU {
		n += v
	}
	for _, p := range []*ebpf.Program{o.SendReset, o.ReceiveReset, o.ErrorReport} {
		stats, err := p.Stats()
		if err != nil {
			return 0, err
		}
		n += stats.RecursionMisses
	}
	return n, nil
}

// mayLoad asks the kernel for the smallest map, to know in microseconds what loading would find out after BTF is read.
func mayLoad() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return refused(err)
	}
	return m.Close()
}

// refused says what is missing when the kernel refuses BPF.
func refused(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.ENOSYS):
		return &Unavailable{What: "BPF (CONFIG_BPF_SYSCALL)", Err: err}
	case lockedDown():
		return &Unavailable{What: "a kernel that is not locked down (lockdown=confidentiality)", Err: err}
	case errors.Is(err, unix.EPERM):
		return &Unavailable{What: "root in the initial user namespace (CAP_BPF and CAP_PERFMON)", Err: err}
	case errors.As(err, &verifier):
		// Error is the last line of the verifier's log.
		return &Unavailable{What: fmt.Sprintf("a kernel that takes its programs: %v", err), Err: err}
	default:
		return err
	}
}

// lockedDown tells whether the kernel keeps its memory from BPF (kernel_lockdown(7)).
func lockedDown() bool {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	return err == nil && bytes.Contains(b, []byte("[confidentiality]"))
}
