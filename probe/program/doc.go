// Package program runs programs that ctsim has not written, psql or sshd for instance, in a pod: in its network
// namespace, with the pod's view of /etc/hosts, /etc/resolv.conf and host name, with a HOME and a TMPDIR of its own, and
// with its output kept apart.
//
// Between ctsim and the program stands a second ctsim, the keeper: process 1 of a PID namespace, started by the hidden
// re-exec in keeper_linux.go. All that it mounts is in a mount namespace of its own, on memory, so nothing on the
// machine changes; and when it ends, in whatever way, the kernel ends everything that the program has started. It ends
// with ctsim, SIGKILL included.
package program
