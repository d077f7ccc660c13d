// Package rulepath tells which iptables rules a packet met, one by one, through nf_tables' own tracing: what
// `nft monitor trace` prints, with the rules as iptables-save writes them.
//
// A [Watcher] belongs to one namespace. [Watcher.Trace] chooses the packets, by their addresses before translation; a
// table of its own marks them (`meta nftrace set 1`), next to the tables of iptables, which stay as they are: neither
// `iptables-save` nor `iptables -L` shows it. [Watcher.Learn] takes the rules' text, [Watcher.Paths] gives what the
// packets met. Only matching rules leave a trace, so that a packet has about ten to fifteen hops.
//
// Rules of iptables-legacy leave none: see [Available]. Counters before and after tell less, but they tell.
//
// Decoding, encoding and putting paths together are pure; recorded messages replay without privileges. Only the
// *_linux.go files talk to the kernel. They need CAP_NET_ADMIN and CAP_SYS_ADMIN over the namespace; root in a user
// namespace of one's own has both.
package rulepath
