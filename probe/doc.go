// Package probe is what a run puts into namespaces to act: the client and the server of the case, plain TCP programs
// like the C programs they stand for. What is put there to watch has a package of its own below this one: conntrack
// for the kernel's entries and events, packet for what passes an interface.
package probe
