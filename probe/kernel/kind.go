package kernel

// Kind says which tracepoint an event comes from.
type Kind uint8

// The kinds, in the order of enum kind in bpf/watch.c.
const (
	// SendReset: the kernel sends a RST. Tracepoint tcp:tcp_send_reset, in tcp_v4_send_reset when a packet drew it, in
	// tcp_send_active_reset when the socket's owner did.
	SendReset Kind = iota + 1
	// ReceiveReset: a socket accepts a RST. Tracepoint tcp:tcp_receive_reset, in tcp_reset.
	ReceiveReset
	// ErrorReport: a socket gets an error that the next call on it will return. Tracepoint sock:inet_sk_error_report, in
	// sk_error_report.
	ErrorReport
	// Drop: the kernel throws a packet away. Tracepoint skb:kfree_skb, in whatever freed it. A packet that draws a reset
	// is dropped next, for the same reason. Left out is what tells nothing, see silentReasons.
	Drop
)

var tracepoints = [...]string{
	SendReset:    "tcp:tcp_send_reset",
	ReceiveReset: "tcp:tcp_receive_reset",
	ErrorReport:  "sock:inet_sk_error_report",
	Drop:         "skb:kfree_skb",
}

// String gives the tracepoint's name as perf writes it, "tcp:tcp_send_reset".
func (k Kind) String() string {
	if !k.known() {
		return "unknown"
	}
	return tracepoints[k]
}

func (k Kind) known() bool { return k >= SendReset && int(k) < len(tracepoints) }
