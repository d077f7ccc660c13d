// Package topology builds the world of a scenario from network namespaces: pods and nodes, the veth pairs and bridges
// between them, their addresses, routes and sysctls.
//
// A Plan is plain data and the same on every machine; a Lab is a Plan that is up. Nothing here has a name outside the
// process and nothing touches the namespace the process was started in: a Lab lives as long as the process holds its
// file descriptors, so a process killed with SIGKILL leaves nothing behind.
//
// The package knows nothing of services, rules or connections.
package topology
