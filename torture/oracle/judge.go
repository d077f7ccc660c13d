package oracle

import (
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// stream gives an opinion of a TCP connection.
func stream(f *Facts, conn Connection, packets []packet.Packet) Opinion {
	r := follow(f, conn, packets)
	o := Opinion{Lost: -1}
	if !r.answered {
		r.unanswered(f, conn, &o)
		return o
	}
	if r.server.place == "" {
		o.only("the client was answered, but no server was seen to answer", Survived, Closed, Reset, Hang, Timeout, WrongBackend, Inconclusive)
		return o
	}
	r.counted(&o)
	r.ended(f, conn, &o)
	if r.strange { // what became of it then may be told, or whose it was
		kept := []Outcome{WrongBackend}
		if len(r.arrived) == 0 {
			kept = append(kept, Inconclusive) // nothing was said to it yet
		}
		for _, p := range o.Possible {
			if p != Survived && p != Closed && p != Inconclusive {
				kept = append(kept, p)
			}
		}
		o.only("the handshake was another application's", kept...)
	}
	return o
}

// counted are the client's messages, each a segment of its own: what has not left yet, because older ones wait for their
// acknowledgement, cannot be counted, nor what came to a socket whose program is gone.
func (r *course) counted(o *Opinion) {
	if !r.client.repeated && r.server.fin == 0 && r.server.aborted.IsZero() && r.server.killed.IsZero() {
		o.Lost = 0
		for seq := range r.sent {
			if !r.arrived[seq] {
				o.Lost++
			}
		}
	}
	if r.arriving && len(r.reached) > 0 && r.reached[0] == r.server.place {
		moved := r.reached[len(r.reached)-1] != r.reached[0]
		o.Moved = &moved
	}
	o.ClientReset = !r.client.killed.IsZero()
}

// unanswered is for a handshake that did not come to its end at the client. In SYN_SENT every ICMP error is fatal
// (tcp_v4_err), with the errno of its code.
func (r *course) unanswered(f *Facts, conn Connection, o *Opinion) {
	switch {
	case r.refused || f.met(conn.ID, "ECONNREFUSED") != nil:
		o.only("the SYN was answered by a RST or by an ICMP port unreachable", Refused)
	case r.icmp:
		o.only("the SYN was answered by an ICMP error", Refused, Timeout)
	default:
		o.only("no answer to the SYN has reached the client", Timeout)
	}
}

// ended is for an open connection: what its two ends are in.
func (r *course) ended(f *Facts, conn Connection, o *Opinion) {
	client, server := f.socket(conn.ID, true), f.socket(conn.ID, false)
	c, s := &r.client, &r.server
	if c.guessed && c.lives(client) && f.met(conn.ID, "ECONNRESET", "EPIPE") == nil {
		c.killed = time.Time{} // the RST did not get through
	}
	for _, one := range []struct {
		*end
		socket *Socket
	}{{c, client}, {s, server}} {
		if one.socket != nil && one.socket.State != "CLOSE" {
			one.aborted = time.Time{} // somebody else has sent that RST
		}
		if one.socket == nil && one.killed.IsZero() && f.podGone(one.place).IsZero() {
			one.killed = one.maybe
		}
	}
	killed := !c.killed.IsZero() || !s.killed.IsZero()
	// What a rule of the client's own node throws away was never on a wire, and what its default route swallows not on the one
	// that is watched: it waits in the socket's queue.
	waits := func(x *Socket, e *end) bool { return x != nil && x.SendQueue > 0 && !e.outstanding() }
	if waits(client, c) {
		o.Lost = -1 // no packet shows how many messages wait there
	}
	undelivered := waits(client, c) || waits(server, s) || c.outstanding() && s.received < c.sent || s.outstanding()
	// A socket in CLOSE that no RST has ended and that has not ended in order has given up by its own timer.
	gaveUp := func(x *Socket, e *end) bool { return x != nil && x.State == "CLOSE" && e.killed.IsZero() && !e.over() }
	expired := gaveUp(client, c) || gaveUp(server, s) || f.met(conn.ID, "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH") != nil
	switch {
	case expired && killed:
		o.only("one socket gave up by its own timer, the other was ended by a RST", Timeout, Reset)
	case expired:
		o.only("a socket gave up by its own timer", Timeout)
	case killed && undelivered:
		r.killedWhileSending(o)
	case killed:
		o.only("a RST with the very next number has ended a socket", Reset)
	case f.met(conn.ID, "ECONNRESET", "EPIPE") != nil:
		o.only("a socket told its program that it was reset", Reset)
	case client == nil && !c.aborted.IsZero(), server == nil && !s.aborted.IsZero():
		o.only("one side has ended with a RST of its own", Reset, Hang)
	case client == nil && c.outstanding(), server == nil && s.outstanding():
		o.only("what was sent is not acknowledged, and its socket is in no table any more: its kernel may have given up", Hang, Timeout)
	case undelivered:
		o.only("what was sent is neither acknowledged nor has it arrived", Hang)
	case !c.aborted.IsZero() || !s.aborted.IsZero():
		o.only("one side sent a RST that ended nothing at the other", Reset, Hang)
	default:
		r.inOrder(f, conn, o)
	}
	if server == nil && !f.podGone(s.place).IsZero() && !killed && !expired && !o.Allows("inconclusive") {
		o.Possible = append(o.Possible, Inconclusive) // its socket has gone with its pod, and nothing tells what it was in
	}
}

// lives tells whether a socket has outlived the RST that came to its place. One that is gone would have ended its stream.
func (e *end) lives(s *Socket) bool {
	if s == nil {
		return e.left.After(e.killed)
	}
	return s.State != "CLOSE"
}

// killedWhileSending: one end was reset; if it is the other that has something under way, it hangs all the same.
func (r *course) killedWhileSending(o *Opinion) {
	c, s := &r.client, &r.server
	clientWaits := c.killed.IsZero() && c.outstanding() && c.repeats > 0
	serverWaits := s.killed.IsZero() && s.outstanding() && s.repeats > 0
	if clientWaits || serverWaits {
		o.only("a RST has ended one socket, the other's bytes are unacknowledged", Reset, Hang)
		return
	}
	o.only("a RST with the very next number has ended a socket, with bytes under way", Reset)
}

// inOrder: all that was sent has arrived, and no socket was ended by force.
func (r *course) inOrder(f *Facts, conn Connection, o *Opinion) {
	c, s := &r.client, &r.server
	last, entries := f.disturbed(conn)
	used := later(c.used, s.used)
	switch {
	case c.over() && s.over():
		o.only("both FINs are acknowledged", Closed)
	case c.fin != 0 && s.fin != 0:
		o.only("both sides have sent a FIN, and the last acknowledgement is on its way", Closed, Hang)
	case c.outstanding() && c.repeats > 0:
		o.only("the bytes have arrived, but are sent again: no acknowledgement comes back", Hang, Inconclusive)
	case c.outstanding() && s.confirmed > c.acked:
		o.only("the bytes have arrived, but their acknowledgement has not", Hang, Inconclusive)
	case used.IsZero():
		o.only("nothing was ever sent", Survived, Inconclusive)
	case !entries.IsZero() && used.Before(entries):
		o.only("nothing was sent after the entries were taken away", Inconclusive)
	case used.Before(f.podGone(s.place)):
		o.only("nothing was sent after the peer's pod was taken away", Inconclusive)
	case used.Before(last):
		o.only("nothing was sent after the last thing that was done", Survived, Inconclusive)
	case c.fin != 0 || s.fin != 0:
		o.only("one side has ended in order, the other is open", Survived, Inconclusive)
	default:
		o.only("everything has arrived, both are open", Survived)
	}
}
