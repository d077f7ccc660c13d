package doctor

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ctsim/ctsim/topology"
)

// need says what becomes of a run without what is checked.
type need int

const (
	optional   need = iota // poorer
	needed                 // impossible
	unlessRoot             // impossible, unless root makes it
)

// check is one thing that ctsim asks of a machine.
type check struct {
	name   string
	need   need
	serves string // what it is needed for
	// probe does it. Nil means that it works.
	probe func(*bench) error
	// modules are the kernel's, for modprobe.
	modules []string
}

// checks are all of them, in the order of the report: what the others build on first. A new one is a line here.
var checks = []check{
	{"user-namespaces", unlessRoot, "runs without root", userNamespace, nil},
	{"network-namespaces", needed, "pods and nodes", networkNamespace, nil},
	{"veth", needed, "links between pods and nodes", veth, []string{"veth"}},
	{"bridge", needed, "a node's pods, several nodes", bridge, []string{"bridge"}},
	{"sysctls", needed, "nodes that forward, pods with their own keepalive", sysctls, nil},
	{"file-descriptors", needed, "a run of one case", descriptors(256), nil},
	{"iptables", needed, "kube-proxy's rules", anyRule, []string{"iptable_filter", "iptable_nat", "nf_tables", "nft_compat", "xt_tcpudp"}},
	{"conntrack-match", needed, "kube-proxy's rules: what conntrack thinks of a packet", rule("filter", "FORWARD", "-m conntrack --ctstate INVALID -j DROP"), []string{"xt_conntrack"}},
	{"statistic-match", needed, "kube-proxy's rules: one backend of several, by chance", rule("nat", "PREROUTING", "-m statistic --mode random --probability 0.5 -j ACCEPT"), []string{"xt_statistic"}},
	{"comment-match", needed, "kube-proxy's rules: whose they are", rule("filter", "FORWARD", "-m comment --comment ctsim -j ACCEPT"), []string{"xt_comment"}},
	{"mark-match", needed, "kube-proxy's rules: what is to be masqueraded", rule("nat", "POSTROUTING", "-m mark --mark 0x4000/0x4000 -j ACCEPT"), []string{"xt_mark"}},
	{"mark-target", needed, "kube-proxy's rules: what is to be masqueraded", rule("nat", "PREROUTING", "-j MARK --set-xmark 0x4000/0x4000"), []string{"xt_mark"}},
	{"dnat-target", needed, "kube-proxy's rules: service to pod", rule("nat", "PREROUTING", "-p tcp -m tcp --dport 2222 -j DNAT --to-destination 172.18.166.130:2222"), []string{"xt_nat"}},
	{"masquerade-target", needed, "kube-proxy's rules: --random-fully source ports", rule("nat", "POSTROUTING", "-j MASQUERADE --random-fully"), []string{"xt_MASQUERADE"}},
	{"reject-target", optional, "services without endpoints", rule("filter", "FORWARD", "-j REJECT --reject-with icmp-port-unreachable"), []string{"ipt_REJECT"}},
	{"addrtype-match", optional, "node ports", rule("filter", "FORWARD", "-m addrtype --dst-type LOCAL -j ACCEPT"), []string{"xt_addrtype"}},
	{"recent-match", optional, "sessionAffinity ClientIP", rule("nat", "PREROUTING", "-m recent --name ctsim --rsource --set -j ACCEPT"), []string{"xt_recent"}},
	{"conntrack", needed, "the table: list, age, delete and flush entries", conntrackTable, []string{"nf_conntrack", "nf_conntrack_netlink"}},
	{"conntrack-events", needed, "what becomes of an entry, as conntrack -E shows it", conntrackEvents, []string{"nf_conntrack_netlink"}},
	{"conntrack-sysctls", needed, "kube-proxy's timeouts, writable for each node", conntrackSysctls, []string{"nf_conntrack"}},
	{"conntrack-timestamp", needed, "when an entry began and ended", conntrackTimestamp, []string{"nf_conntrack", "nf_conntrack_netlink"}},
	{"conntrack-ends", optional, "whether time or a RST has ended an entry: Linux 5.12, the oldest that is supported", conntrackEnds, []string{"nf_conntrack_netlink"}},
	{"packet-sockets", needed, "the packets at every hop (AF_PACKET)", packetSocket, []string{"af_packet"}},
	{"sock-diag", optional, "the sockets' timers, as netstat --timers shows them", sockDiag, []string{"inet_diag", "tcp_diag"}},
	{"iptables-nft", optional, "run --iptables nft", kubeProxyRules("nft"), []string{"nf_tables", "nft_compat", "nft_chain_nat"}},
	{"iptables-legacy", optional, "run --iptables legacy", kubeProxyRules("legacy"), []string{"iptable_filter", "iptable_nat"}},
	{"rule-trace", optional, "which rules a packet met (nftrace)", ruleTrace, []string{"nf_tables", "nft_compat"}},
	{"btf", optional, "the kernel's own trace: its types", btfOfKernel, nil},
	{"bpf", optional, "the kernel's own trace: who sent a reset, and why", kernelTrace, nil},
	{"many-descriptors", optional, "4000 connections at once", descriptors(20000), nil},
}

// Machine is what the caller knows about the process.
type Machine struct {
	// Root is true for the real root, false in a user namespace or without privileges.
	Root bool
	// WithRoot is the command line to paste that does the same as root.
	WithRoot string
	// UserNamespace makes a user namespace as an ordinary user would, and uses it. Nil if this process is in one.
	UserNamespace func(context.Context) error
}

// Modules are the kernel modules that the checks ask for, each once: all that ctsim may need of a kernel that does not load them
// by itself.
func Modules() []string {
	var out []string
	for _, c := range checks {
		for _, m := range c.modules {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// Names are the names of all checks, in their order.
func Names() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

// Examine makes the checks of these names, all if there are none, and reports in the order of the table. Names that do
// not exist are passed over. It needs no privileges; what it may not do, it finds missing. When ctx is cancelled, checks
// that have not begun are unknown.
func Examine(ctx context.Context, m Machine, names ...string) Report {
	var chosen []check
	for _, c := range checks {
		if len(names) == 0 || slices.Contains(names, c.name) {
			chosen = append(chosen, c)
		}
	}
	r := Report{Root: m.Root, Kernel: release(), Findings: make([]Finding, len(chosen))}
	places := make(chan struct{}, 2*runtime.NumCPU()) // most of the time is processes and the kernel's grace periods
	var group sync.WaitGroup
	for i, c := range chosen {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			r.Findings[i] = c.judge(m, c.ask(ctx, m))
		})
	}
	group.Wait()
	return r
}

func (c check) ask(ctx context.Context, m Machine) error {
	if err := context.Cause(ctx); err != nil {
		return &buildsOn{"time", err}
	}
	return c.probe(&bench{ctx: ctx, machine: m, check: c.name})
}

// release is `uname -r`.
func release() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}

// bench is where a check works.
type bench struct {
	ctx     context.Context
	machine Machine
	check   string
}

// within runs f with a network namespace that has nothing but a loopback, which is up, and lets go of it.
func (b *bench) within(f func(*topology.Namespace) error) (err error) {
	ns, err := topology.NewNamespace(b.check)
	if err != nil {
		return &buildsOn{"network-namespaces", err}
	}
	defer func() {
		if closeErr := ns.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close: %w", closeErr)
		}
	}()
	if err := loopbackUp(ns); err != nil {
		return &buildsOn{"network-namespaces", err}
	}
	return f(ns)
}
