package audit

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// insider asks the kernel by an iterator of BPF. It is not attached to anything: it runs when it is read, and goes with
// its descriptors.
type insider struct {
	insideObjects
	link *link.Iter
}

// openInsider needs CAP_BPF and CAP_PERFMON in the initial user namespace (root), BTF and Linux 5.8. The error says which
// it lacks.
func openInsider() (*insider, error) {
	// The smallest map tells in microseconds whether BPF is allowed, before BTF is read.
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, errors.New("root in the initial user namespace (CAP_BPF and CAP_PERFMON)")
	case err != nil:
		return nil, fmt.Errorf("BPF: %w", err)
	}
	if err := m.Close(); err != nil {
		return nil, err
	}
	i := &insider{}
	if err := loadInsideObjects(&i.insideObjects, nil); err != nil {
		return nil, fmt.Errorf("a kernel with BTF and BPF iterators, Linux 5.8: %w", err)
	}
	if i.link, err = link.AttachIter(link.IterOptions{Program: i.Inside}); err != nil {
		return nil, errors.Join(fmt.Errorf("BPF iterators: %w", err), i.insideObjects.Close())
	}
	return i, nil
}

func (i *insider) close() error { return errors.Join(i.link.Close(), i.insideObjects.Close()) }

// read goes over the sockets of a namespace.
func (i *insider) read(ns *topology.Namespace, system time.Duration) (in kernelSays, err error) {
	var text io.ReadCloser
	// Which namespace it goes over is decided when it is opened.
	if err := ns.Do(func() (err error) { text, err = i.link.Open(); return err }); err != nil {
		return in, fmt.Errorf("keepalive settings in %s: %w", ns.Name(), err)
	}
	defer func() { err = errors.Join(err, text.Close()) }()
	all, err := io.ReadAll(text)
	if err != nil {
		return in, fmt.Errorf("keepalive settings in %s: %w", ns.Name(), err)
	}
	return parseInside(all, system)
}
