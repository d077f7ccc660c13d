package audit

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// A question over netlink that the kernel has no module loaded for makes it load one: SOCK_DIAG_BY_FAMILY loads inet_diag
// and tcp_diag (sock_load_diag_module), a conntrack dump nf_conntrack_netlink and what that needs (nfnetlink_rcv_msg).
// Looking must not change the kernel, so it is found out beforehand whether the answer is there without loading.

// diag and ctnetlink are such answers: the modules that give them, and a function that the kernel has if they are built
// in.
var (
	diag      = module{name: "tcp_diag", function: "tcp_diag_dump"}
	ctnetlink = module{name: "nf_conntrack_netlink", function: "ctnetlink_dump_table"}
)

// tracking is connection tracking itself.
var tracking = module{name: "nf_conntrack", function: "nf_conntrack_in"}

type module struct{ name, function string }

// loaded tells whether the kernel has it at hand. If that cannot be found out it is taken not to.
func (m module) loaded() bool {
	listed, err := m.listed()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true // no modules: what is not built in cannot be loaded either
	case err != nil:
		return false
	}
	return listed || symbols().functions[m.function]
}

// absent tells whether the kernel is known not to have it.
func (m module) absent() bool {
	listed, err := m.listed()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return !listed && symbols().complete && !symbols().functions[m.function]
}

// listed tells whether it is in /proc/modules.
func (m module) listed() (bool, error) {
	modules, err := os.Open("/proc/modules")
	if err != nil {
		return false, err
	}
	defer func() { _ = modules.Close() }()
	lines := bufio.NewScanner(modules)
	for lines.Scan() {
		if name, _, _ := strings.Cut(lines.Text(), " "); name == m.name {
			return true, nil
		}
	}
	return false, lines.Err()
}

// builtIns are the functions of the answers that are built in; complete says that the kernel told all it has.
type builtIns struct {
	functions map[string]bool
	complete  bool
}

// symbols finds them out. What is built in stays so, and reading takes 50 ms.
var symbols = sync.OnceValue(func() builtIns {
	found := builtIns{functions: map[string]bool{}}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return found
	}
	defer func() { _ = f.Close() }()
	count, lines := 0, bufio.NewScanner(f)
	for ; lines.Scan(); count++ {
		for _, m := range []module{diag, ctnetlink, tracking} {
			if strings.Contains(lines.Text(), m.function) && builtIn(lines.Text(), m.function) {
				found.functions[m.function] = true
			}
		}
	}
	found.complete = count > 0 && lines.Err() == nil
	return found
})
