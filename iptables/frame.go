package iptables

import (
	"github.com/ctsim/ctsim/kube"
)

// mark is the packet mark that asks for masquerading (--iptables-masquerade-bit 14), as value/mask.
const mark = "0x4000/0x4000"

// filterFrame is the filter table before any service: iptablesJumpChains and the KUBE-FORWARD rules of kube-proxy's
// syncProxyRules, and KUBE-FIREWALL, of which kubelet writes the same copy.
func filterFrame(cfg kube.ProxyConfig) *tableBuilder {
	t := newTable("filter", "INPUT", "FORWARD", "OUTPUT")
	t.declare(chainServices, chainExternalServices, chainNodePorts, chainForward, chainProxyFirewall, chainFirewall)

	isNew := ctstate("NEW")
	loadBalancer := comment("kubernetes load balancer firewall")
	portals := comment("kubernetes service portals")
	external := comment("kubernetes externally-visible service portals")

	t.add("INPUT", jump(chainFirewall))
	t.add("INPUT", isNew, loadBalancer, jump(chainProxyFirewall))
	t.add("INPUT", comment("kubernetes health check service ports"), jump(chainNodePorts))
	t.add("INPUT", isNew, external, jump(chainExternalServices))

	t.add("FORWARD", isNew, loadBalancer, jump(chainProxyFirewall))
	t.add("FORWARD", comment("kubernetes forwarding rules"), jump(chainForward))
	t.add("FORWARD", isNew, portals, jump(chainServices))
	t.add("FORWARD", isNew, external, jump(chainExternalServices))

	t.add("OUTPUT", jump(chainFirewall))
	t.add("OUTPUT", isNew, loadBalancer, jump(chainProxyFirewall))
	t.add("OUTPUT", isNew, portals, jump(chainServices))

	// kube-proxy opens 127.0.0.0/8 for node ports (route_localnet); this keeps it closed to the neighbours.
	t.add(chainFirewall, Rule{"!", "-s", "127.0.0.0/8", "-d", "127.0.0.0/8"},
		comment("block incoming localnet connections"),
		Rule{"-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED,DNAT"}, jump("DROP"))

	if !cfg.NoInvalidDrop {
		t.add(chainForward, ctstate("INVALID"), jump("DROP"))
	}
	t.add(chainForward, comment("kubernetes forwarding rules"), Rule{"-m", "mark", "--mark", mark}, jump("ACCEPT"))
	t.add(chainForward, comment("kubernetes forwarding conntrack rule"), ctstate("RELATED,ESTABLISHED"), jump("ACCEPT"))
	return t
}

// natFrame is the nat table before any service, but for the last rule of KUBE-SERVICES. kube-proxy writes the two MARK
// rules as --or-mark and --xor-mark; the form here is what the kernel makes of them.
func natFrame() *tableBuilder {
	t := newTable("nat", "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
	t.declare(chainServices, chainNodePorts, chainPostrouting, chainMarkMasq)

	t.add("PREROUTING", comment("kubernetes service portals"), jump(chainServices))
	t.add("OUTPUT", comment("kubernetes service portals"), jump(chainServices))
	t.add("POSTROUTING", comment("kubernetes postrouting rules"), jump(chainPostrouting))

	t.add(chainMarkMasq, Rule{"-j", "MARK", "--set-xmark", mark})

	t.add(chainPostrouting, Rule{"-m", "mark", "!", "--mark", mark}, jump("RETURN"))
	t.add(chainPostrouting, Rule{"-j", "MARK", "--set-xmark", "0x4000/0x0"})
	t.add(chainPostrouting, comment("kubernetes service traffic requiring SNAT"),
		Rule{"-j", "MASQUERADE", "--random-fully"})
	return t
}

func comment(text string) Rule  { return Rule{"-m", "comment", "--comment", text} }
func ctstate(state string) Rule { return Rule{"-m", "conntrack", "--ctstate", state} }
func jump(target string) Rule   { return Rule{"-j", target} }
