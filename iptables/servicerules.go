package iptables

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/ctsim/ctsim/kube"
)

// addService adds what kube-proxy's syncProxyRules writes for one service. Comments says whether the rules per
// endpoint get theirs.
func addService(cfg kube.ProxyConfig, filter, nat *tableBuilder, s kube.Service, comments bool) {
	endpoints := s.SortedEndpoints()
	if len(endpoints) == 0 {
		rejectService(filter, s)
		return
	}
	svc := ServiceChain(s)
	proto := Rule{"-p", s.Protocol.String()}
	clusterIP := Rule{"-d", s.ClusterIP.String() + "/32", "-p", s.Protocol.String()}
	clusterIP = append(clusterIP, comment(s.String()+" cluster IP")...)
	clusterIP = append(clusterIP, destPort(s.Protocol, s.Port)...)

	nat.add(chainServices, clusterIP, jump(svc))
	switch {
	case cfg.MasqueradeAll:
		nat.add(svc, clusterIP, jump(chainMarkMasq))
	case cfg.ClusterCIDR.IsValid():
		nat.add(svc, Rule{"!", "-s", cfg.ClusterCIDR.Masked().String()}, clusterIP, jump(chainMarkMasq))
	}
	if s.NodePort != 0 {
		ext := ExternalChain(s)
		nat.add(chainNodePorts, proto, comment(s.String()), destPort(s.Protocol, s.NodePort), jump(ext))
		nat.add(ext, comment(fmt.Sprintf("masquerade traffic for %s external destinations", s)), jump(chainMarkMasq))
		nat.add(ext, jump(svc))
	}
	pickEndpoint(nat, s, endpoints, comments)
	for _, ep := range endpoints {
		translate(nat, s, ep, comments)
	}
}

// rejectService is for a service without endpoints: nothing to translate to, so a client is told at once.
func rejectService(filter *tableBuilder, s kube.Service) {
	why := comment(s.String() + " has no endpoints")
	reject := Rule{"-j", "REJECT", "--reject-with", "icmp-port-unreachable"}
	filter.add(chainServices, Rule{"-d", s.ClusterIP.String() + "/32", "-p", s.Protocol.String()}, why,
		destPort(s.Protocol, s.Port), reject)
	if s.NodePort != 0 {
		filter.add(chainExternalServices, Rule{"-p", s.Protocol.String()}, why,
			Rule{"-m", "addrtype", "--dst-type", "LOCAL"}, destPort(s.Protocol, s.NodePort), reject)
	}
}

// pickEndpoint is kube-proxy's writeServiceToEndpointRules: a client seen lately goes where it went; the others go by
// chance, with each rule's probability being one of the endpoints that are left.
func pickEndpoint(nat *tableBuilder, s kube.Service, endpoints []netip.AddrPort, comments bool) {
	svc := ServiceChain(s)
	way := func(ep netip.AddrPort) Rule {
		if !comments {
			return nil
		}
		return comment(fmt.Sprintf("%s -> %s", s, ep))
	}
	if s.Affinity > 0 {
		seconds := strconv.FormatInt(int64(s.Affinity/time.Second), 10)
		for _, ep := range endpoints {
			sep := EndpointChain(s, ep)
			nat.add(svc, way(ep), recent(sep, "--rcheck", "--seconds", seconds, "--reap"), jump(sep))
		}
	}
	for i, ep := range endpoints {
		var chance Rule
		if left := len(endpoints) - i; left > 1 {
			chance = Rule{"-m", "statistic", "--mode", "random", "--probability", probability(left)}
		}
		nat.add(svc, way(ep), chance, jump(EndpointChain(s, ep)))
	}
}

// translate fills the chain of one endpoint.
func translate(nat *tableBuilder, s kube.Service, ep netip.AddrPort, comments bool) {
	sep, proto := EndpointChain(s, ep), s.Protocol.String()
	var name, remember Rule
	if comments {
		name = comment(s.String())
	}
	if s.Affinity > 0 {
		remember = recent(sep, "--set")
	}
	// A pod that reaches itself through the service must see another address than its own, or it answers itself
	// directly.
	nat.add(sep, Rule{"-s", ep.Addr().String() + "/32"}, name, jump(chainMarkMasq))
	nat.add(sep, Rule{"-p", proto}, name, remember,
		Rule{"-m", proto, "-j", "DNAT", "--to-destination", ep.String()})
}

func destPort(p kube.Protocol, port uint16) Rule {
	return Rule{"-m", p.String(), "--dport", strconv.Itoa(int(port))}
}

// recent matches on the list of client addresses named after an endpoint's chain. The mask and --rsource are what
// iptables adds by itself.
func recent(list string, what ...string) Rule {
	r := append(Rule{"-m", "recent"}, what...)
	return append(r, "--name", list, "--mask", "255.255.255.255", "--rsource")
}

// probability is one in n as kube-proxy writes it (its computeProbability).
func probability(n int) string { return fmt.Sprintf("%0.10f", 1/float64(n)) }
