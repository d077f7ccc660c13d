package account

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// end is one side of a connection, as all facts of it show it. The zero value is an end that nothing is known of.
type end struct {
	side peer.Side
	// at is the place that holds it; empty if no server has taken the connection.
	at string
	// local and remote are the socket's own two addresses; own is true once they are known from its SYN or its calls.
	local, remote netip.AddrPort
	// any is true of a client on the node that translates: what is captured there carries either address.
	any bool
	// silent is true of a program that tells nothing of its calls.
	silent bool
	// last is its socket at the end, nil if there was none or it was not read; sample is the fact that shows it.
	last   *evidence.LastState
	sample any
	// sent are its program's messages that a kernel took, received those of the peer that its program got.
	sent, received []*peer.Report
	// closing is the first call by which its program has ended its stream, failed the first error that its kernel told it.
	closing, failed *peer.Report
	// fin is the first segment with its FIN and fins how many there were, finAcked what acknowledged it.
	fin, finAcked *packet.Packet
	fins          int
	// rst is the first RST that reached the socket, gaveUp the first that it sent; icmp the first ICMP error about it.
	rst, gaveUp, icmp *packet.Packet
	// data is the last segment with payload that it sent, upTo the number after its last byte; acked is the highest
	// acknowledgement that reached it, ackedBy the packet that carried it. got is the last payload that reached it.
	data, ackedBy, got *packet.Packet
	upTo, acked        uint32
	// bytes and gotBytes are the payload that it has sent and that has reached it, each byte once.
	bytes, gotBytes int
	// segments is how many packets with payload have reached it, each once.
	segments int
}

// observe adds what a packet says of the end at whose place it was captured.
func (s *end) observe(p *packet.Packet) {
	if p.Protocol == packet.ICMP {
		if p.Direction == packet.In && s.icmp == nil && p.Error.Protocol != 0 {
			s.icmp = p
		}
		return
	}
	if !s.owns(p) {
		return
	}
	if p.Direction == packet.Out {
		s.goesOut(p)
	} else {
		s.comesIn(p)
	}
}

// owns tells whether a packet carries the socket's own addresses: others at the same place are of other sockets.
func (s *end) owns(p *packet.Packet) bool {
	if s.any || !s.local.IsValid() {
		return true
	}
	if p.Direction == packet.Out {
		return p.Src == s.local && p.Dst == s.remote
	}
	return p.Src == s.remote && p.Dst == s.local
}

func (s *end) goesOut(p *packet.Packet) {
	after := p.Seq + uint32(p.Payload)
	switch {
	case p.Flags.Has(packet.RST):
		if s.gaveUp == nil {
			s.gaveUp = p
		}
		return
	case p.Flags.Has(packet.FIN):
		if s.fins++; s.fin == nil {
			s.fin = p
		}
	}
	if p.Payload > 0 {
		if s.data == nil || int32(after-s.upTo) > 0 {
			s.data, s.upTo = p, after
		}
		if p.Relative.Repeat == packet.Fresh {
			s.bytes += p.Payload
		}
	}
}

func (s *end) comesIn(p *packet.Packet) {
	if p.Flags.Has(packet.RST) {
		if s.rst == nil {
			s.rst = p
		}
		return
	}
	if p.Payload > 0 && p.Relative.Repeat == packet.Fresh {
		s.got = p
		s.gotBytes, s.segments = s.gotBytes+p.Payload, s.segments+1
	}
	if !p.Flags.Has(packet.ACK) {
		return
	}
	if s.ackedBy == nil || int32(p.Ack-s.acked) > 0 {
		s.acked, s.ackedBy = p.Ack, p
	}
	if s.fin != nil && s.finAcked == nil && int32(p.Ack-(s.fin.Seq+uint32(s.fin.Payload)+1)) >= 0 {
		s.finAcked = p
	}
}

// unacknowledged tells whether a segment with payload was never acknowledged, as far as packets show.
func (s *end) unacknowledged() bool {
	return s.data != nil && (s.ackedBy == nil || int32(s.acked-s.upTo) < 0)
}

// call adds a call of the end's own program.
func (s *end) call(r *peer.Report) {
	switch {
	case r.Err == nil && r.Call == peer.Send:
		s.sent = append(s.sent, r)
	case r.Err == nil && r.Call == peer.Recv && r.Bytes > 0:
		s.received = append(s.received, r)
	case (r.Call == peer.Close || r.Call == peer.Shutdown) && s.closing == nil && r.Err == nil:
		s.closing = r
	case r.Err != nil && s.failed == nil && r.Call != peer.Close && s.told(r):
		s.failed = r
	}
}

// told tells whether an error is the kernel's word on the connection: not that of a deadline that the program set itself,
// nor that of using what it has closed itself.
func (s *end) told(r *peer.Report) bool {
	if r.Call == peer.Connect {
		return true
	}
	var errno syscall.Errno
	if !errors.As(r.Err, &errno) {
		return false
	}
	return s.closing == nil || errno != syscall.EPIPE && errno != syscall.EBADF && errno != syscall.ENOTCONN
}

// state is the last state of its socket; empty if there was none.
func (s *end) state() string {
	if s.last == nil {
		return ""
	}
	return s.last.State
}

// closed tells whether its socket is over: reset, timed out, or ended in order on both sides.
func (s *end) closed() bool { return s.last != nil && s.last.Closed() }

// ended tells whether its stream was ended, by its program or, as packets show, by its kernel.
func (s *end) ended() bool { return s.closing != nil || s.fin != nil || s.finState() != nil }

// finState tells by the socket's state whether its FIN was acknowledged; nil if the state does not tell.
func (s *end) finState() *bool {
	switch s.state() {
	case "FIN_WAIT2", "TIME_WAIT":
		return new(true)
	case "FIN_WAIT1", "CLOSING", "LAST_ACK":
		return new(false)
	}
	return nil
}

// stuck tells whether what it sent last has been sent again and is not acknowledged, or was tried again and has never left
// its own machine.
func (s *end) stuck() bool {
	return s.last != nil && (s.last.Retransmits > 0 && !s.closed() || s.last.Withheld())
}

// whose is the end in words: "the client", "server-1".
func (s *end) whose() string {
	if s.side == peer.Client || s.at == "" {
		return "the " + string(s.side)
	}
	return s.at
}

// socketText is its last state in words, and how it got there; read is true if sockets were read at the end.
func (s *end) socketText(read bool) string {
	who := s.whose()
	switch {
	case s.last == nil && read && s.unacknowledged() && s.rst == nil && s.gaveUp == nil:
		return who + " has no socket of it any more, and what it sent last was never acknowledged"
	case s.last == nil && read:
		return who + " has no socket of it any more" + s.how()
	case s.last == nil:
		return "the state of " + who + "'s socket is not known"
	}
	words := []string{fmt.Sprintf("%s's socket is %s%s", who, s.last.State, s.how())}
	if s.last.Left {
		words = append(words, "held by the kernel alone")
	}
	unacked, unread := s.queues()
	if unacked > 0 {
		words = append(words, Count(unacked, "byte", "bytes")+" unacknowledged")
	}
	if unread > 0 {
		words = append(words, Count(unread, "byte", "bytes")+" unread")
	}
	if n := s.last.Retransmits; n > 0 && !s.closed() {
		words = append(words, "sent again "+Count(n, "time", "times"))
	}
	if s.last.Withheld() {
		words = append(words, "which its own machine does not let out, tried again "+Count(s.last.Probes, "time", "times"))
	}
	if s.last.Pending != nil {
		words = append(words, peer.Errno(s.last.Pending)+" waits for its program's next call")
	}
	return strings.Join(words, ", ")
}

// how is what ended a socket that is over: a RST that reached it, its own kernel, or its program.
func (s *end) how() string {
	switch {
	case s.last != nil && !s.closed():
		return ""
	case s.rst != nil && s.finAcked == nil:
		return " after a RST"
	case s.gaveUp != nil && s.silent: // by its program, or by its kernel's keepalive
		return ", ended by a RST of its own"
	case s.gaveUp != nil && s.closing == nil:
		return ", given up by its kernel"
	case s.closing != nil:
		return ", closed by its program"
	}
	return ""
}

// queues are the bytes of data that are not acknowledged and not read. The kernel counts a FIN as a byte in either queue
// until it is acknowledged, or read as the end of the stream.
func (s *end) queues() (unacked, unread int) {
	unacked, unread = s.last.SendQueue, s.last.RecvQueue
	switch s.last.State {
	case "FIN_WAIT1", "CLOSING", "LAST_ACK":
		unacked--
	}
	switch s.last.State {
	case "CLOSE_WAIT", "CLOSING", "LAST_ACK":
		unread--
	}
	return max(unacked, 0), max(unread, 0)
}

// since are the reports after a time.
func since(all []*peer.Report, t time.Time) []*peer.Report {
	for i, r := range all {
		if r.Time.After(t) {
			return all[i:]
		}
	}
	return nil
}
