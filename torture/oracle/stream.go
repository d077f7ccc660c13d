package oracle

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// span is more than a stream of these runs is long: a number so far from an initial one is another stream's.
const span = 1 << 16

// counts tells whether a sequence number counts from an initial one.
func counts(n, initial uint32) bool { return n-initial < span }

// end is one end of a stream, as the packets at its own place show it. Numbers count from the initial one, which is 0.
type end struct {
	place         string
	local, remote netip.AddrPort
	// sent is one past the last number sent, acked what the peer has acknowledged, received one past what came in order.
	sent, acked, received uint32
	// confirmed is the highest acknowledgement that has left this end.
	confirmed uint32
	// fin and peerFin are one past the FIN of this side, and of the peer as it came in order; 0 if there was none.
	fin, peerFin uint32
	// killed is when a RST ended the socket; aborted when it sent one of its own accord or because its peer was not known.
	killed, aborted time.Time
	// maybe is when a RST came that ends the socket only if its program has closed it: the kernel then keeps no more of it than
	// a FIN_WAIT2 in which any RST in the window will do (tcp_timewait_state_process).
	maybe time.Time
	// left is when the socket last sent anything.
	left time.Time
	// used is when new data, or the FIN, was first sent; its acknowledgement may be late.
	used time.Time
	// repeats counts retransmissions since the last acknowledgement.
	repeats int
	// repeated is true once anything was sent again.
	repeated bool
	// guessed is true where the packets of the place are not yet translated back: whether one gets through to the socket shows
	// only in what the socket does.
	guessed bool
}

// over tells whether both sides have ended in order, as far as this end knows.
func (e *end) over() bool { return e.fin != 0 && e.acked >= e.fin && e.peerFin != 0 }

func (e *end) outstanding() bool { return e.sent > e.acked }

// size is how many numbers a segment takes.
func size(p *packet.Packet) uint32 {
	n := uint32(p.Payload)
	if p.Flags.Has(packet.SYN) {
		n++
	}
	if p.Flags.Has(packet.FIN) {
		n++
	}
	return n
}

// goes takes a packet that has left this end's socket.
func (e *end) goes(p *packet.Packet, initial, peers uint32) {
	from := p.Seq - initial
	to := from + size(p)
	if p.Flags.Has(packet.RST) {
		if from == e.sent && !e.over() { // one of the socket's own has its next number; one with another was made up
			e.aborted, e.left = p.Time, p.Time
		}
		return
	}
	e.left = p.Time
	e.aborted = time.Time{} // whoever sent that RST, it was not the end of this socket
	if e.guessed && to > from && from < e.acked {
		e.acked = from // the acknowledgement did not get through to the socket
	}
	if p.Flags.Has(packet.ACK) {
		e.confirmed = max(e.confirmed, p.Ack-peers)
	}
	if to > from && from < e.sent && to > e.acked {
		e.repeats++
		e.repeated = true
	}
	if to > e.sent {
		if e.sent = to; !p.Flags.Has(packet.SYN) {
			e.used = p.Time
		}
	}
	if p.Flags.Has(packet.FIN) {
		e.fin = to
	}
}

// comes takes a packet that has reached this end's socket.
func (e *end) comes(p *packet.Packet, own, peers uint32) {
	from := p.Seq - peers
	if p.Flags.Has(packet.RST) {
		// RFC 5961, tcp_validate_incoming: only the very next number resets; others in the window are challenged. After a FIN that
		// FIN's own number will do too (tcp_reset_check).
		if (from == e.received || e.peerFin != 0 && from == e.peerFin-1) && e.killed.IsZero() && !e.over() {
			e.killed = p.Time
		} else if e.fin != 0 && e.acked >= e.fin && e.peerFin == 0 && counts(from, e.received) {
			e.maybe = p.Time
		}
		return
	}
	if n := p.Ack - own; p.Flags.Has(packet.ACK) && n > e.acked && n <= e.sent {
		e.acked, e.repeats = n, 0
	}
	to := from + size(p)
	if from <= e.received && to > e.received && counts(p.Seq, peers) {
		e.received = to
		if p.Flags.Has(packet.FIN) {
			e.peerFin = to
		}
	}
}

// course is a connection's packets, sorted by what they mean.
type course struct {
	client, server end
	// answered is true once the client's handshake is complete, begun once its SYN was seen; refusedBy is what refused it.
	begun, answered bool
	refused, icmp   bool
	// strange is true if the peer is another application's.
	strange bool
	// lost are the client's messages that left it, by their first number; arrived those that came to the peer's socket.
	sent, arrived map[uint32]bool
	c, s          uint32
	// reached are the namespaces that the client's bytes have come to, in order; arriving is true if its last packet did come to one.
	reached  []string
	arriving bool
}

// follow reads a connection's packets at both ends in the order of time.
func follow(f *Facts, conn Connection, packets []packet.Packet) *course {
	r := &course{client: end{place: f.Client, local: conn.Local, remote: f.Service}, sent: map[uint32]bool{}, arrived: map[uint32]bool{}}
	r.client.guessed = f.ClientForwards
	if !r.handshake(f, conn, packets) {
		return r
	}
	for i := range packets {
		p := &packets[i]
		if p.Protocol != packet.TCP || p.Time.Before(conn.Since) {
			continue
		}
		atServer := p.At == r.server.place
		forth, back := r.forth(p), r.back(p)
		if forth && !p.Flags.Has(packet.RST) {
			r.arrives(f, p)
		}
		switch {
		case p.At == f.Client && p.Direction == packet.Out && forth:
			// A RST to a pod's own address is no socket's: the client's kernel knows none with such a peer.
			if p.Dst == f.Service || !p.Flags.Has(packet.RST) {
				r.client.goes(p, r.c, r.s)
			}
			if p.Payload > 0 && !p.Flags.Has(packet.RST) {
				r.sent[p.Seq-r.c] = true
			}
		case atServer && p.Direction == packet.In && forth && p.Src == r.server.remote && p.Dst == r.server.local:
			r.server.comes(p, r.s, r.c)
			if p.Payload > 0 {
				r.arrived[p.Seq-r.c] = true
			}
		case atServer && p.Direction == packet.Out && back && p.Src == r.server.local && p.Dst == r.server.remote:
			r.server.goes(p, r.s, r.c)
		case p.At == f.Client && p.Direction == packet.In && back:
			if f.ClientForwards || p.Src == f.Service && p.Dst == conn.Local {
				r.client.comes(p, r.c, r.s)
			}
		}
	}
	return r
}

// arrives notes where the client's bytes come to.
func (r *course) arrives(f *Facts, p *packet.Packet) {
	switch {
	case p.At == f.Client && p.Direction == packet.Out:
		r.arriving = false
	case p.Direction == packet.In && slices.Contains(f.Servers, p.At):
		r.reached, r.arriving = append(r.reached, p.At), true
	}
}

// forth tells whether a segment is one of the client's, back whether it is one of the server's. A RST that answers carries one
// number alone.
func (r *course) forth(p *packet.Packet) bool {
	if !p.Flags.Has(packet.ACK) {
		return p.Seq == r.c && p.Flags.Has(packet.SYN) || p.Flags.Has(packet.RST) && counts(p.Seq, r.c)
	}
	return counts(p.Seq+1, r.c) && counts(p.Ack, r.s)
}

func (r *course) back(p *packet.Packet) bool {
	if !p.Flags.Has(packet.ACK) {
		return p.Flags.Has(packet.RST) && counts(p.Seq, r.s)
	}
	return counts(p.Seq+1, r.s) && counts(p.Ack, r.c)
}

// handshake finds the numbers that the two streams begin with; false if the client never got an answer.
func (r *course) handshake(f *Facts, conn Connection, packets []packet.Packet) bool {
	for i := range packets {
		p := &packets[i]
		mine := p.At == f.Client && !p.Time.Before(conn.Since)
		switch {
		case !mine:
		case p.Protocol == packet.ICMP && r.begun && p.Direction == packet.In && p.Error.Src.Port() == conn.Local.Port():
			r.icmp = true
			r.refused = r.refused || p.Error.Type == 3 && p.Error.Code == 3
		case p.Protocol != packet.TCP:
		case p.Direction == packet.Out && p.Flags.Has(packet.SYN) && !p.Flags.Has(packet.ACK) && f.sentBy(conn, p):
			if r.begun && p.Seq != r.c {
				return false // the port's next connection
			}
			r.begun, r.c = true, p.Seq
		case r.begun && p.Direction == packet.In && p.Ack == r.c+1 && p.Flags.Has(packet.RST|packet.ACK):
			r.refused = true
			return false
		case r.begun && p.Direction == packet.In && p.Ack == r.c+1 && p.Flags.Has(packet.SYN|packet.ACK) &&
			(f.ClientForwards || p.Src == f.Service && p.Dst == conn.Local):
			r.answered, r.s = true, p.Seq
			return r.peer(f, packets)
		}
	}
	return false
}

// sentBy tells whether a SYN at the client's place is this connection's. A node may have changed its port already; there the
// connections tell themselves apart by their time, since they are opened one after another.
func (f *Facts) sentBy(conn Connection, p *packet.Packet) bool {
	if !f.ClientForwards {
		return p.Src == conn.Local
	}
	for _, other := range f.Connections {
		if other.Since.After(conn.Since) && !p.Time.Before(other.Since) {
			return false
		}
	}
	return p.Src.Addr() == conn.Local.Addr()
}

// peer finds the socket that sent the answer.
func (r *course) peer(f *Facts, packets []packet.Packet) bool {
	for i := range packets {
		p := &packets[i]
		if slices.Contains(f.Servers, p.At) && p.Direction == packet.Out && p.Protocol == packet.TCP &&
			p.Flags.Has(packet.SYN|packet.ACK) && p.Seq == r.s && p.Ack == r.c+1 {
			r.server = end{place: p.At, local: p.Src, remote: p.Dst}
			r.strange = slices.Contains(f.Strangers, p.At)
			return true
		}
	}
	return false
}
