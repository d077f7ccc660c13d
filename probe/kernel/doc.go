// Package kernel lets the kernel say why a connection broke: who sent a reset and on which socket, who received one,
// which error a socket got and why a packet was dropped, each with the functions that led there.
//
// It attaches BPF programs to four raw tracepoints, tcp:tcp_send_reset, tcp:tcp_receive_reset,
// sock:inet_sk_error_report and skb:kfree_skb, which report only what happens to TCP in the namespaces that are watched;
// the rest of the host pays for a look at a hash table. Everything is bound to file descriptors: nothing outlives the
// process, not even one that is killed.
//
// It needs CAP_BPF and CAP_PERFMON in the initial user namespace (root), BTF (CONFIG_DEBUG_INFO_BTF) and Linux 5.14.
// Where that is not to be had, Watch returns an [Unavailable]. What a kernel tells depends on its age, and is read from
// its BTF, so that backports count:
//
//	5.14  the tracepoints; CLOCK_MONOTONIC stamps; a reset for which there was no socket is not traced
//	5.17  kfree_skb has a reason: Drop events
//	6.1   CLOCK_TAI stamps
//	6.10  tcp_send_reset has a reason, and is traced without a socket too
//	6.11  kfree_skb knows the receiving socket: State of a Drop
//
// The tests pass on Linux 6.1, 6.12 and 6.18; older ones were not tried.
package kernel
