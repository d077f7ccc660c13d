// Package packet watches the packets of a run: at every hop, that is on an interface inside each pod and node, it
// captures what comes in and goes out, decodes it, and puts it into one line or one capture file.
//
// Decoding, following the sequence numbers (Flows) and the line format are pure and the same on every machine. Only
// Capture, in *_linux.go, speaks with the kernel. The capture file is written by the package pcapng below this one.
//
// Equivalent: `tcpdump -ni eth0` in every namespace at once. Only IPv4 is seen: a run has no IPv6 and its ARP says
// nothing about connection tracking.
package packet
