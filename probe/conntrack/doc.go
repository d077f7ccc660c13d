// Package conntrack watches and changes the connection tracking table of one network namespace through ctnetlink: what
// `conntrack -E`, -L, -F, -D, -U and -I do, as plain values.
//
// An Entry is one row of the table, an Event one change to it. Only the *_linux.go files talk to the kernel: Listen for
// events, and List, Get, Flush, Delete, SetTimeout, Expire and Create for the table. All of them need CAP_NET_ADMIN over
// the namespace.
//
// Requests, dumps and their decoding are those of github.com/ti-mo/conntrack, whose values become an Entry. Ours is what
// it cannot do: a time left of 0 (ask), deletion by ID (ask), the list of dying entries (anyDying), the time and the
// sender of an event, a listener that goes on after a loss and knows what it lost, and the line that the conntrack command
// prints. Events are decoded by Decode, a fast way to the same reading that also tells which attributes were sent: that a
// DESTROY has no CTA_TIMEOUT is how an expiry is known. It is pure, so recorded messages replay without privileges.
//
// What a namespace must have before its first entry, or the entry will lack it:
//
//   - a rule that needs connection tracking (a NAT or conntrack rule); the kernel tracks nothing without one;
//   - a Listener, or sysctl net.netfilter.nf_conntrack_events=1: at its default of 2 the kernel gives an entry the means
//     to report only if somebody listened when the entry was made, and stays silent even about its end otherwise;
//   - net.netfilter.nf_conntrack_timestamp=1 for Entry.Start and Entry.Stop, net.netfilter.nf_conntrack_acct=1 for the
//     packet and byte counters. Both add words to the lines that Entry.String and Event.String give, as they do for the
//     conntrack command: `delta-time=…` and `packets=… bytes=…`.
package conntrack
