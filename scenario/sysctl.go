package scenario

import (
	"regexp"
	"strings"
)

var sysctlKey = regexp.MustCompile(`^net(\.[a-zA-Z0-9_-]+)+$`)

// hostSysctls belong to the whole machine although they stand below net: they are read-only in a namespace, and a
// scenario must not touch them.
var hostSysctls = []string{"net.netfilter.nf_conntrack_max", "net.nf_conntrack_max",
	"net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_expect_max"}

// wrongSysctl says why a key cannot be set in a namespace; empty if it can. Without this check a key like
// net.../../kernel would leave the namespace's tree.
func wrongSysctl(key string) string {
	if !sysctlKey.MatchString(key) {
		return "is no sysctl of a network namespace, net.… with dots"
	}
	for _, host := range hostSysctls {
		if strings.EqualFold(key, host) {
			return "belongs to the machine, not to a namespace; ctsim does not touch it"
		}
	}
	return ""
}
