package kernel

import "strings"

// maxFunctions is how many functions of a stack are told at most.
const maxFunctions = 6

// Functions are the few functions of the stack that tell what happened, outermost first: tcp_v4_rcv, tcp_v4_do_rcv,
// tcp_v4_send_reset. They are those next to the event that belong to its layer, TCP or else IP and netfilter; how the
// packet came there, through which devices and interrupts, is left out.
func (e Event) Functions() []string {
	frames := e.Stack
	for len(frames) > 0 && isRelease(frames[0]) {
		frames = frames[1:]
	}
	if len(frames) == 0 {
		return nil
	}
	own := layerOf(frames[0])
	var told []string
	for _, f := range frames {
		if len(told) == maxFunctions || len(told) > 0 && (own == "" || layerOf(f) != own) {
			break
		}
		told = append(told, baseName(f))
	}
	for i, j := 0, len(told)-1; i < j; i, j = i+1, j-1 {
		told[i], told[j] = told[j], told[i]
	}
	return told
}

// isRelease tells the functions that free a packet for whoever gave the reason (net/core/skbuff.c).
func isRelease(function string) bool {
	f := baseName(function)
	return strings.Contains(f, "kfree_skb") || strings.HasSuffix(f, "skb_reason_drop") || f == "tcp_drop_reason" ||
		f == "tcp_drop"
}

// layerOf tells whether a function is part of TCP ("tcp") or of IP and netfilter ("ip"); "" if neither.
func layerOf(function string) string {
	f := strings.TrimLeft(function, "_")
	for _, l := range layerPrefixes {
		if strings.HasPrefix(f, l.prefix) {
			return l.name
		}
	}
	return ""
}

var layerPrefixes = []struct{ prefix, name string }{
	{"tcp_", "tcp"}, {"tcp6_", "tcp"}, {"sk_error_report", "tcp"}, {"inet_csk_", "tcp"}, {"inet6_csk_", "tcp"},
	// Where a packet passes from one layer to the next: told of neither.
	{"ip_local_deliver", ""}, {"ip_protocol_deliver", ""}, {"ip_queue_xmit", ""}, {"ip6_input", ""},
	{"ip_", "ip"}, {"ip6_", "ip"}, {"ipv6_", "ip"}, {"nf_", "ip"}, {"nft_", "ip"}, {"ipt_", "ip"}, {"ip6t_", "ip"},
	{"iptable_", "ip"}, {"icmp_", "ip"}, {"icmpv6_", "ip"}, {"arp_", "ip"}, {"neigh_", "ip"},
}

// baseName takes off what the compiler adds to the name of a function that it split or specialised.
func baseName(function string) string {
	name, _, _ := strings.Cut(function, ".")
	return name
}
