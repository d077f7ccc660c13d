package socket

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Socket is one TCP socket as the kernel described it (struct inet_diag_msg).
type Socket struct {
	// Local and Remote are the addresses as the kernel has them: an IPv6 socket that serves IPv4 has ::ffff:a.b.c.d, so
	// compare after Unmap where that does not matter. A listening socket's Remote is 0.0.0.0:0 or [::]:0.
	Local, Remote netip.AddrPort
	State         State
	Timer         Timer
	// RecvQueue is what was received and not yet read by the application, in bytes; of a listening socket the
	// connections that wait to be accepted. Netstat's and ss's Recv-Q.
	RecvQueue int
	// SendQueue is what the application has written and the peer has not yet acknowledged, in bytes; of a listening
	// socket the most connections that may wait. Netstat's and ss's Send-Q.
	SendQueue int
	// Interface is the index of the interface the socket is bound to, 0 for any.
	Interface uint32
	// UID is the owner. It is 0 for a socket in TIME_WAIT.
	UID uint32
	// Inode is the number in /proc/PID/fd's `socket:[4711]`; 0 if no process has the socket (any more or yet).
	Inode uint32
	// Cookie is the socket's own number, never used again while the machine runs: SO_COOKIE, and sock_cookie in the
	// kernel's tracepoints.
	Cookie uint64
	// Info is nil for sockets that are not connections of their own: TIME_WAIT, a SYN_RECV before its accept.
	Info *Info
}

// Info is the part of struct tcp_info that tells how a connection fares.
type Info struct {
	// RTO is the retransmission timeout, with back-off applied; RTT the smoothed round-trip time.
	RTO, RTT time.Duration
	// Unacked is the number of segments sent and not acknowledged; Lost those that count as lost. Of a listening socket
	// Unacked is the connections that wait.
	Unacked, Lost int
	// Backoff is how often RTO has been doubled.
	Backoff int
	// Retransmits counts the segments ever sent again on this connection (tcpi_total_retrans).
	Retransmits int
	// How long ago data was last sent, data last received and an acknowledgement last received, in the kernel's
	// precision of a few milliseconds. A connection that never sent or received data counts from its beginning, roughly.
	LastDataSent, LastDataReceived, LastAckReceived time.Duration
	// Payload bytes: acknowledged by the peer (the SYN counts as one), received in order, not yet sent at all, sent
	// (with what was sent again), sent again. Kernels before 4.1, 4.6 and 4.19 give 0.
	BytesAcked, BytesReceived     uint64
	NotSent                       uint32
	BytesSent, BytesRetransmitted uint64
	// Window is how many bytes the peer will take, counted from what it has acknowledged. Kernels before 5.4 give 0.
	Window int
}

// String is the socket as one line of `netstat -tan --timers`: queues, addresses, state, timer.
//
//	tcp        0      0 172.18.219.65:54124     10.108.33.37:2222       ESTABLISHED keepalive (34.34/0/0)
func (s Socket) String() string {
	protocol, send := "tcp", s.SendQueue
	if s.Local.Addr().Is6() {
		protocol = "tcp6"
	}
	if s.State == Listening {
		send = 0 // netstat reads /proc/net/tcp, which does not tell it
	}
	return fmt.Sprintf("%-4s  %6d %6d %-23s %-23s %-11s %s", protocol, s.RecvQueue, send,
		netstatAddress(s.Local), netstatAddress(s.Remote), s.State, s.Timer.Netstat())
}

func netstatAddress(a netip.AddrPort) string { return a.Addr().String() + ":" + port(a) }

// SS is the socket as one line of `ss -tano` with single spaces. A listening IPv6 socket that also takes IPv4 is
// [::]:2222 here, where ss has *:2222.
func (s Socket) SS() string {
	line := fmt.Sprintf("%s %d %d %s %s", s.State.SS(), s.RecvQueue, s.SendQueue, ssAddress(s.Local), ssAddress(s.Remote))
	if timer := s.Timer.SS(); timer != "" {
		line += " " + timer
	}
	return line
}

func ssAddress(a netip.AddrPort) string {
	if a.Addr().Is6() {
		return "[" + a.Addr().String() + "]:" + port(a)
	}
	return netstatAddress(a)
}

// port writes port 0 as both commands do.
func port(a netip.AddrPort) string {
	if a.Port() == 0 {
		return "*"
	}
	return strconv.Itoa(int(a.Port()))
}
