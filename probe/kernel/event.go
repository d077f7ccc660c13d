package kernel

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Event is one thing that the kernel did to a TCP connection.
type Event struct {
	// Time is CLOCK_REALTIME, the clock of packet and conntrack stamps.
	Time time.Time
	Kind Kind
	// Namespace is the inode number of the network namespace.
	Namespace uint64
	// Src and Dst are those of the packet when Packet is set: the one that drew the reset, or was dropped. Otherwise Src
	// is the socket's own address and Dst its peer's. Both are zero when the kernel knew neither.
	Src, Dst netip.AddrPort
	Packet   bool
	// State is the socket's TCP state at that moment, "LISTEN" or "ESTABLISHED" for instance; "" if there was no socket.
	State string
	// Reason is why the reset was sent or the packet dropped, by the kernel's name without its prefix: enum sk_rst_reason
	// or enum skb_drop_reason, "TCP_FLAGS" for instance. "" for other kinds, and for a SendReset before Linux 6.10.
	Reason string
	// Errno is the error of an ErrorReport, else 0.
	Errno syscall.Errno
	// Stack are the functions that led to the event, innermost first: from the one that holds the tracepoint to the
	// system call or interrupt.
	Stack []string
}

// String gives the event on one line, without time and namespace:
//
//	tcp_send_reset state=LISTEN reason=TCP_FLAGS for 10.0.0.1:54124 > 10.0.0.2:2222  tcp_v4_rcv → tcp_v4_do_rcv → tcp_v4_send_reset
//
// "for" precedes a packet's addresses, "on" a socket's own and its peer's.
func (e Event) String() string {
	var b strings.Builder
	_, name, _ := strings.Cut(e.Kind.String(), ":")
	b.WriteString(name)
	if e.Kind == ErrorReport {
		fmt.Fprintf(&b, " error=%s", errnoName(e.Errno))
	}
	if e.State != "" {
		fmt.Fprintf(&b, " state=%s", e.State)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, " reason=%s", e.Reason)
	}
	if e.Src.IsValid() && e.Dst.IsValid() {
		preposition := "on"
		if e.Packet {
			preposition = "for"
		}
		fmt.Fprintf(&b, " %s %s > %s", preposition, e.Src, e.Dst)
	}
	if told := e.Functions(); len(told) > 0 {
		fmt.Fprintf(&b, "  %s", strings.Join(told, " → "))
	}
	return b.String()
}

// errnoNames are the errors that Linux's TCP gives a socket: tcp_reset, tcp_write_err, icmp_err_convert.
var errnoNames = map[syscall.Errno]string{
	32: "EPIPE", 64: "ENONET", 71: "EPROTO", 90: "EMSGSIZE", 92: "ENOPROTOOPT", 95: "EOPNOTSUPP", 100: "ENETDOWN",
	101: "ENETUNREACH", 103: "ECONNABORTED", 104: "ECONNRESET", 110: "ETIMEDOUT", 111: "ECONNREFUSED",
	112: "EHOSTDOWN", 113: "EHOSTUNREACH",
}

func errnoName(e syscall.Errno) string {
	if name, ok := errnoNames[e]; ok {
		return name
	}
	return fmt.Sprintf("errno %d", int(e))
}
