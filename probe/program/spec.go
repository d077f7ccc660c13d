package program

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Spec is a program to run. Only Name and Command are needed.
type Spec struct {
	// Name is the pod's: its host name, and what output calls the program.
	Name string
	// Command is given to `sh -c`. Its working directory is its HOME, so that programs that are the same in every pod do not
	// write the same files, and nothing of the machine is written by the way; ctsim's own is $OLDPWD.
	Command string
	// User runs it as this user, a name or number of the machine; empty is ctsim's own, root. Where ctsim itself works
	// in a user namespace, the program gets one of its own in which its only user has this number: for programs that
	// refuse to be root.
	User string
	// Env is added to ctsim's environment, KEY=value. HOME, TMPDIR and HOSTNAME are set besides.
	Env []string
	// Hosts is the pod's /etc/hosts below localhost.
	Hosts []Host
	// Output is given every line as it is written, from one goroutine at a time for each stream. Nil is allowed.
	Output func(Line)
	// Grace is the time from SIGTERM to SIGKILL; 0 is DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is how long a program may take to end after SIGTERM.
const DefaultGrace = 5 * time.Second

// Host is one line of /etc/hosts.
type Host struct {
	Address netip.Addr
	Names   []string
}

// hostsFile is the pod's /etc/hosts. Like a pod's it knows itself; unlike one it also knows services and other pods,
// because the world has no DNS server.
func hostsFile(hosts []Host) string {
	var b strings.Builder
	b.WriteString("# this pod's, made by ctsim\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	for _, h := range hosts {
		fmt.Fprintf(&b, "%s\t%s\n", h.Address, strings.Join(h.Names, " "))
	}
	return b.String()
}

// resolvFile is the pod's /etc/resolv.conf. The search list is Kubernetes'; nobody answers on the name server's address,
// so that a name which is not in /etc/hosts fails at once and no question leaves the pod.
const resolvFile = `# this pod's, made by ctsim: there is no name server, names are in /etc/hosts
nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
`
