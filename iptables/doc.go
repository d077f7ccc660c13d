// Package iptables writes what kube-proxy, in iptables mode, writes for a Service, and puts it into a node's namespace.
//
// The first half is pure: [Rules] turns services into a [RuleSet], plain data with the chains, rules, comments and
// probabilities of kube-proxy (pkg/proxy/iptables, v1.37), and [RuleSet.Save] prints it as iptables-save would. The
// second half, in files named *_linux.go, installs a RuleSet in a namespace, changes it and reads it back. [Mode] is both
// as others see them, by way of package dataplane.
//
// Left out of kube-proxy's rules: the nfacct match on the INVALID rule and the canary chains, which change no packet's
// way; IPv6; external and load balancer addresses; the traffic policy Local.
package iptables
