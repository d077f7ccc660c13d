// Package oracle judges connections a second time, apart from evidence/account: from the packets that were captured at both
// ends and from what the sockets themselves say (TCP state, queues, errors), by RFC 9293, RFC 5961 and the kernel's tcp_input.c
// and tcp_ipv4.c. It knows neither accounts nor verdicts and reads no code of theirs; what it cannot know it leaves open: its
// answer is the set of outcomes that are possible.
//
// A TCP stream is told by its sequence numbers, which no translation of addresses changes: a segment belongs to the connection
// whose two initial sequence numbers it counts from. A UDP message is told by its bytes.
package oracle
