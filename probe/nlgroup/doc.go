// Package nlgroup receives what the kernel sends to netlink's multicast groups: the events of connection tracking, the
// traces of nf_tables. It gives every datagram to a handler, can wait until all that was sent so far has been handled,
// and counts what did not fit into its buffer. What the datagrams mean is the handler's business.
package nlgroup
