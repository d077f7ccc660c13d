package kernel

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
)

// Sizes of struct names in bpf/watch.c.
const (
	namesPerRun = 12
	nameSize    = 128
)

// functions tells the names of the kernel's functions. The kernel itself looks them up (printk's %ps, in a BPF program
// that is run for it): a stack's worth takes microseconds, while reading /proc/kallsyms takes some 50 ms, and
// kptr_restrict does not matter.
type functions struct {
	objects *objects
	known   map[uint64]string
}

// of gives the function of each return address; the address itself, in hexadecimal, where the kernel does not tell.
func (f *functions) of(addresses []uint64) []string {
	var unknown []uint64
	for _, a := range addresses {
		if _, ok := f.known[a]; !ok {
			f.known[a] = fmt.Sprintf("%#x", a)
			unknown = append(unknown, a)
		}
	}
	for len(unknown) > 0 {
		n := min(len(unknown), namesPerRun)
		f.ask(unknown[:n])
		unknown = unknown[n:]
	}
	names := make([]string, len(addresses))
	for i, a := range addresses {
		names[i] = f.known[a]
	}
	return names
}

// ask looks up at most namesPerRun addresses.
func (f *functions) ask(addresses []uint64) {
	var arguments [namesPerRun]uint64
	for i, a := range addresses {
		// The instruction after a call that never returns belongs to the next function already.
		arguments[i] = a - 1
	}
	if _, err := f.objects.NameFunctions.Run(&ebpf.RunOptions{Context: arguments}); err != nil {
		return
	}
	var names [namesPerRun][nameSize]byte
	if err := f.objects.FunctionNames.Lookup(uint32(0), &names); err != nil {
		return
	}
	for i, a := range addresses {
		name, _, _ := bytes.Cut(names[i][:], []byte{0})
		// A module's function is written "nf_nat_init [nf_nat]".
		if name, _, _ := strings.Cut(string(name), " "); name != "" {
			f.known[a] = name
		}
	}
}
