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
	modules, err := os.Open("/proc/modules")
	if errors.Is(err, fs.ErrNotExist) {
		return true // no modules: what is not built in cannot be loaded either
	}
	if err != nil {
		return false
	}
	defer func() { _ = modules.Close() }()
	for lines := bufio.NewScanner(modules); lines.Scan(); {
		if name, _, _ := strings.Cut(lines.Text(), " "); name == m.name {
			return true
		}
	}
	return symbols()[m.function]
}

// absent tells whether the kernel is known not to have it.
func (m module) absent() bool { return !m.loaded() && len(symbols()) > 0 && !symbols()[m.function] }

// symbols are the functions of the answers that are built in. What is built in stays so, and reading takes 50 ms.
var symbols = sync.OnceValue(func() map[string]bool {
	found := map[string]bool{}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return found
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, m := range []module{diag, ctnetlink, tracking} {
			if strings.Contains(lines.Text(), m.function) && builtIn(lines.Text(), m.function) {
				found[m.function] = true
			}
		}
	}
	return found
})
