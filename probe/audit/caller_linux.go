package audit

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// callerNow finds out who asks: /proc/self/uid_map is all of the ids in the first user namespace only, and a container's
// root has not all capabilities.
func callerNow() Caller {
	if os.Geteuid() != 0 {
		return User
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	if fields := strings.Fields(string(ids)); err != nil || len(fields) != 3 || fields[2] != "4294967295" {
		return Confined
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Confined
	}
	_, rest, _ := strings.Cut(string(status), "\nCapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	effective, _ := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	const needed = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_PTRACE
	if effective&needed != needed {
		return Confined
	}
	return Root
}
