package dataplane

import (
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// Mode is one of kube-proxy's ways to put services into a node (--proxy-mode), with what can be set about it on this
// machine. It keeps no state: its nodes do.
type Mode interface {
	// Name is the mode's as kube-proxy's --proxy-mode has it, "iptables".
	Name() string
	// Rules are what kube-proxy would have written on a node with these settings and services. It is pure. Services that
	// are not valid give Rules that cannot be installed, see [Rules].Err.
	Rules(cfg kube.ProxyConfig, services ...kube.Service) Rules
	// Commands are what a person types to change a node's rules from one set to another, both of this mode, one shell
	// command each, in an order in which at no moment a packet finds an endpoint's place empty; nil if the sets are the
	// same. It is pure.
	Commands(from, to Rules) []string
	// Open readies the mode for a node's namespace, which stays the caller's and in which nothing is changed yet. The
	// error matches [ErrNotInstalled] if the machine lacks a program that the mode needs.
	Open(ns *topology.Namespace) (Node, error)
}

// Node is the rules of one namespace. Its methods need CAP_NET_ADMIN and CAP_SYS_ADMIN over the namespace, and are for one
// goroutine at a time; Nodes of different namespaces do not disturb each other. Rules given to it must be of its mode.
type Node interface {
	// Install puts rules into a namespace that has none of kube-proxy yet; use Sync where it has.
	Install(Rules) error
	// Sync changes the namespace's rules into those given, after endpoints or services have changed. What stays the same
	// keeps its counters. Connection tracking is not touched.
	Sync(Rules) error
	// Append adds one rule of the caller's own, in the words of the mode's program, to the end of a chain that exists:
	// what a rule needs of the kernel and of the program can be found out so.
	Append(table, chain string, rule ...string) error
	// Save is the namespace's rules, read back, in the form of [Rules].Save.
	Save() (string, error)
	// Dump is the rules with their counters as the mode's own program prints them (`iptables-save -c`), and the counters
	// in it, in the same order.
	Dump() (text string, counters []Counter, err error)
	// Program tells how a program that [Mode].Commands names is called on this machine: its path, and the variables that
	// its environment needs, NAME=VALUE. The path is empty if the mode has no program of that name.
	Program(name string) (path string, env []string)
}
