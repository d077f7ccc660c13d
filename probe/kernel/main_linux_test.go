package kernel

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// childEnv makes this test's binary the child of a test instead: its value is what the child does.
const childEnv = "CTSIM_KERNEL_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "watch":
		childWatches()
	case "try":
		childTries()
	case "try without BTF":
		childHidesBTF()
		childTries()
	default:
		os.Exit(m.Run())
	}
}

// childWatches says which programs and maps it has in the kernel, and waits to be killed.
func childWatches() {
	ns, err := topology.NewNamespace("pod")
	if err != nil {
		childFails(err)
	}
	w, err := Watch(func(Event) {}, ns)
	if err != nil {
		childFails(err)
	}
	for _, p := range []*ebpf.Program{w.objects.SendReset, w.objects.ReceiveReset, w.objects.ErrorReport, w.objects.Drop} {
		info, err := p.Info()
		if err != nil {
			childFails(err)
		}
		id, _ := info.ID()
		fmt.Println("program", id)
	}
	for _, m := range []*ebpf.Map{w.objects.Namespaces, w.objects.Samples, w.objects.watchMaps.Lost} {
		info, err := m.Info()
		if err != nil {
			childFails(err)
		}
		id, _ := info.ID()
		fmt.Println("map", id)
	}
	for _, l := range w.objects.links {
		info, err := l.Info()
		if err != nil {
			childFails(err)
		}
		fmt.Println("link", info.ID)
	}
	fmt.Println("end")
	// Not select{}, which the runtime takes for a deadlock.
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// childTries says what Watch finds missing.
func childTries() {
	w, err := Watch(func(Event) {})
	var missing *Unavailable
	switch {
	case err == nil:
		fmt.Print("nothing is missing")
		_ = w.Close()
	case errors.As(err, &missing):
		fmt.Print(missing.What)
	default:
		childFails(err)
	}
}

// childHidesBTF needs a mount namespace of its own.
func childHidesBTF() {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	for _, folder := range []string{"/sys/kernel/btf", "/boot", "/lib/modules", "/usr/lib/debug"} {
		if _, missing := os.Stat(folder); missing == nil {
			err = errors.Join(err, unix.Mount("none", folder, "tmpfs", 0, ""))
		}
	}
	if err != nil {
		childFails(err)
	}
}

func childFails(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
