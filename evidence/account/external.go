package account

import (
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// judgeExternal judges connections of a program that tells nothing of its calls, from the packets at both ends and from
// what the kernel says of the sockets: its balance is in bytes.
func judgeExternal(e *evidence.Evidence, accounts []*Account) {
	breaks := breakTimes(e, accounts)
	for _, a := range accounts {
		a.Errno, a.NoticedBy, a.Peer = "", "", ""
		w := &witness{judge: newJudge(e, a)}
		if e.KeptAt.After(w.fault) && a.Flow.Since.Before(e.KeptAt) {
			w.fault = e.KeptAt // the entry would have expired here
		}
		for _, p := range a.Packets {
			if p.Protocol == packet.TCP {
				w.see(p)
			}
		}
		w.draw()
		w.d.add(ItemUse, "", "", w.useText())
		w.d.sort()
		a.Outcome = w.outcome()
		w.d.done(a)
		a.Untested = w.untested(breaks, accounts)
		a.established, a.Aside = w.established, a.Untested != "" && a.Untested != ClosedUnused
		a.left, a.carried = w.left, w.client.bytes+w.client.gotBytes > 0
		if !w.used.IsZero() && !w.answered {
			a.silent = w.used
		}
		a.leaveBehind()
	}
	// The last lost first: what stands in its place can stand in that of those before too, and not the other way round.
	byLoss := slices.Clone(accounts)
	slices.SortStableFunc(byLoss, func(a, b *Account) int { return b.gone().Compare(a.gone()) })
	for _, a := range byLoss {
		a.replaced(e, accounts)
	}
}

// witness is what the packets of one connection tell.
type witness struct {
	*judge
	// established is true once the client got its SYN+ACK; left is when the client ended its side, peerLeft when the
	// server had ended its, as the client knows.
	established    bool
	left, peerLeft time.Time
	// went is what the client has sent last, leaving what ended its side.
	went, leaving *packet.Packet
	// used is the first data that the client sent after the last break; answered is true if anything but a RST came back
	// since. spoken is how many bytes went either way since.
	used     time.Time
	answered bool
	spoken   int
	// probed is when the client's kernel sent its last keepalive probe, heard when anything came to it last.
	probed, heard time.Time
}

func (w *witness) see(p *packet.Packet) {
	client := p.At == w.e.ClientAt
	if client && p.Relative.Repeat == packet.Fresh && p.Time.After(w.fault) {
		w.spoken += p.Payload
	}
	if client && p.Direction == packet.In {
		w.heard = p.Time
	}
	if client && p.Direction == packet.Out && p.Relative.Repeat == packet.KeepAlive {
		w.probed = p.Time
	}
	switch {
	case client && p.Direction == packet.In && p.Src == w.e.Service:
		w.clientGets(p)
	case client && p.Direction == packet.Out && p.Dst == w.e.Service:
		w.went = p
		if w.left.IsZero() && (p.Flags.Has(packet.FIN) || p.Flags.Has(packet.RST)) {
			w.left, w.leaving = p.Time, p
		}
		if w.used.IsZero() && p.Payload > 0 && w.left.IsZero() && !w.fault.IsZero() && p.Time.After(w.fault) {
			w.used = p.Time
		}
	case p.Direction == packet.In && p.Flags.Has(packet.RST) && w.left.IsZero() && w.e.Pods[p.Dst.Addr()] == p.At:
		w.notice(peer.Server, p.Time, p, "ECONNRESET")
	}
}

func (w *witness) clientGets(p *packet.Packet) {
	switch {
	case p.Flags.Has(packet.RST) && !w.established:
		w.notice(peer.Client, p.Time, p, "ECONNREFUSED")
	case p.Flags.Has(packet.RST) && w.left.IsZero() && !w.peerLeft.IsZero():
		w.notice(peer.Client, p.Time, p, "EPIPE")
	case p.Flags.Has(packet.RST) && w.left.IsZero():
		w.notice(peer.Client, p.Time, p, "ECONNRESET")
	case p.Flags.Has(packet.SYN):
		w.established = true
	case p.Flags.Has(packet.FIN) && w.peerLeft.IsZero():
		w.peerLeft = p.Time
	}
	w.answered = w.answered || !w.used.IsZero() && !p.Flags.Has(packet.RST)
}

// notice notes who was first to be told, and by which packet it is known.
func (w *witness) notice(side peer.Side, at time.Time, by *packet.Packet, errno string) {
	if w.a.NoticedBy == "" {
		w.a.NoticedBy, w.a.Errno, w.a.noticed, w.a.noticedBy = string(side), errno, at, by
		t := w.e.Since(at)
		w.a.NoticedAt = &t
	}
}

// outcome is that of the first rule that can tell.
func (w *witness) outcome() Outcome {
	b, unanswered := w.d, !w.used.IsZero() && !w.answered
	switch {
	case w.a.Flow.Local.Port() == 0:
		b.decide("", ItemUse)
		return Unknown
	case w.a.Errno == "ECONNREFUSED":
		b.decide(w.a.NoticedBy, ItemRST)
		return Refused
	case w.a.Errno != "":
		b.decide(w.a.NoticedBy, ItemRST)
		return Reset
	case !w.established && w.client.state() == "SYN_SENT": // it is still trying
		b.decide("client", ItemSocket, ItemICMP)
		if w.client.stuck() {
			return Hang
		}
		return Unknown
	case !w.established && w.client.icmp != nil && connectErrno(w.client.icmp) != "":
		return w.turnedAway()
	case !w.established:
		b.decide("client", ItemSocket, ItemICMP)
		return Timeout
	case !w.left.IsZero() && w.leaving.Flags.Has(packet.RST) && w.probed.After(w.heard):
		w.notice(peer.Client, w.left, w.leaving, "ETIMEDOUT") // its keepalive has given up
		b.decide("client", ItemRST, ItemSocket)
		return Timeout
	case unanswered && !w.left.IsZero() && w.client.rst != nil: // its program had gone before it could be told
		b.decide("client", ItemRST, ItemMessages)
		return Reset
	case unanswered && !w.left.IsZero():
		w.notice(peer.Client, w.left, w.leaving, "") // it has lost patience
		b.decide("client", ItemMessages, ItemFIN)
		return Timeout
	case w.left.IsZero() && w.peerLeft.IsZero() && w.client.last == nil && w.e.EndsRead:
		w.notice(peer.Client, w.e.Ended, w.went, "ETIMEDOUT") // the kernel has given up on what went out last
		b.decide("client", ItemMessages, ItemSocket)
		return Timeout
	}
	if acked := w.client.finState(); unanswered && acked != nil && !*acked { // its FIN waits behind what is not acknowledged
		w.a.NoticedBy = string(peer.Client)
		w.a.noticed, w.a.noticedBy = w.closedBy()
		b.decide("client", ItemMessages, ItemSocket, ItemFIN)
		return Timeout
	}
	for _, rule := range []func() Outcome{w.unended, w.stuck} {
		if o := rule(); o != "" {
			return o
		}
	}
	return w.goesOn()
}

// turnedAway is the outcome of a connect that an ICMP error has ended.
func (w *witness) turnedAway() Outcome {
	errno := connectErrno(w.client.icmp)
	w.notice(peer.Client, w.client.icmp.Time, w.client.icmp, errno)
	w.d.decide("client", ItemICMP)
	return outcomeOf(errno, true)
}

// closedBy is when the client's program had closed its socket for sure, and the fact that shows it.
func (w *witness) closedBy() (time.Time, any) {
	for i := range w.e.Samples {
		s := &w.e.Samples[i]
		if s.Flow == w.a.ID && s.Side == peer.Client && s.State.String() == w.client.state() {
			return s.Time, s
		}
	}
	return w.e.Ended, w.client.sample
}

// goesOn: the connection was used since the last break, all of it was acknowledged, and it is open or was ended in order.
func (w *witness) goesOn() Outcome {
	b, over := w.d, w.over()
	switch {
	case !over && !w.agree():
		b.decide("", ItemSocket)
	case w.client.unacknowledged() || w.server.unacknowledged():
		b.decide("", ItemMessages)
	case over && (w.spoken == 0 || w.fault.IsZero()):
		b.decide("", ItemFIN)
		return Closed
	case w.spoken == 0:
		b.decide("", ItemUse)
	case !w.knows(evidence.FromConntrack):
		b.decide("", ItemUnseen)
	case over:
		b.decide("", ItemFIN, ItemMessages, ItemUse)
		return Survived
	default:
		b.decide("", ItemSocket, ItemFIN, ItemMessages, ItemUse)
		w.a.HalfClosed = w.client.ended() || w.server.ended()
		return Survived
	}
	return Unknown
}

// over tells whether both sides have ended in order. A server that answers the client's acknowledged end with a RST has not
// wanted the rest; the client's program had nothing left to be told.
func (w *witness) over() bool {
	acked := w.finAcked(w.client)
	return w.endedInOrder() || acked != nil && *acked && w.client.rst != nil && w.client.rst.Time.After(w.left)
}

// useText is how much went over the connection since the last break, in words.
func (w *witness) useText() string {
	text := Count(w.spoken, "byte", "bytes") + " of data"
	switch {
	case w.a.Flow.Local.Port() == 0:
		return "the program never opened a connection"
	case w.spoken == 0:
		text = "nothing was sent"
	}
	switch {
	case !w.fault.IsZero() && w.fault.Equal(w.e.KeptAt):
		text += " since it was to expire"
	case !w.fault.IsZero():
		text += " since the last break"
	}
	return text
}

// replaced finds the connection that the program has opened in the place of one that it lost.
func (a *Account) replaced(e *evidence.Evidence, accounts []*Account) {
	if a.Outcome != Reset && a.Outcome != Timeout || !a.established || a.Aside {
		return
	}
	gone := a.gone()
	passing := a.passing(accounts, gone)
	for _, o := range accounts {
		if o.established && o.Replaces == 0 && o.ID > a.ID && o.Flow.Since.After(gone) && o.goesOn(e, passing) {
			o.Replaces, o.Aside, o.Untested = a.ID, true, ""
			a.Outcome, a.replacedBy = Reconnected, o.ID
			return
		}
	}
}

// gone is from when on a lost connection is of no use to its client's program, which may open the new one before it closes
// the old one.
func (a *Account) gone() time.Time {
	if !a.silent.IsZero() && (a.noticed.IsZero() || a.silent.Before(a.noticed)) {
		return a.silent
	}
	return a.noticed
}

// goesOn tells whether a program went on with a connection that it has opened late: it has it still, or has used it, or has
// replaced it in turn. Where it opens others in passing, this is none of them if it has it for longer than it had any of those.
func (a *Account) goesOn(e *evidence.Evidence, passing time.Duration) bool {
	switch {
	case a.Outcome == Reconnected:
		return true
	case a.lost():
		return false
	case passing > 0:
		return a.stays() && a.seenOpen(e).Sub(a.Flow.Since) > passing
	}
	return a.stays() || a.carried
}

// seenOpen is when the client's socket was last looked at and was open; the run ends later than that, with its programs.
func (a *Account) seenOpen(e *evidence.Evidence) (last time.Time) {
	for i := range e.Samples {
		if s := &e.Samples[i]; s.Flow == a.ID && s.Side == peer.Client && s.State.String() == "ESTABLISHED" {
			last = s.Time
		}
	}
	return last
}

// stays tells whether the client still had the connection open at the end.
func (a *Account) stays() bool {
	return slices.ContainsFunc(a.Last, func(l *evidence.LastState) bool { return l.Side == peer.Client && l.State == "ESTABLISHED" })
}

// passing is how long the program had at most another connection that it closed in order while it had this one, before a
// time: one that it opens later need not stand in the place of this. Zero if there was none.
func (a *Account) passing(accounts []*Account, before time.Time) (longest time.Duration) {
	for _, o := range accounts {
		if o != a && !o.lost() && o.left.After(a.Flow.Since) && o.left.Before(before) {
			longest = max(longest, o.left.Sub(o.Flow.Since))
		}
	}
	return longest
}

// lost tells whether the connection is known to have gone.
func (a *Account) lost() bool {
	return a.Outcome != Survived && a.Outcome != Closed && a.Outcome != Unknown
}

// withSettings adds to each connection what was set on its sockets.
func withSettings(e *evidence.Evidence, accounts []*Account) {
	for _, set := range e.Settings {
		if set.Flow < 1 || set.Flow > len(accounts) {
			continue
		}
		one := &SocketSettings{Process: set.Process, KeepAlive: set.KeepAlive, IdleS: set.Idle.Seconds(),
			IntervalS: set.Interval.Seconds(), Count: set.Count, UserTimeoutS: set.UserTimeout.Seconds(), Text: set.String()}
		if set.Side == peer.Client {
			accounts[set.Flow-1].ClientSocket = one
		} else {
			accounts[set.Flow-1].ServerSocket = one
		}
	}
}

// external tells what the kernel told external programs, and what the client's did about it.
func (t *teller) external(accounts []*Account) {
	if t.e.Kept != "" {
		t.say(t.e.KeptAt, on(t.e.Keeping()), "%s", t.e.Kept)
	}
	a := t.a
	if !t.e.External || a.NoticedBy == "" || a.NoticedBy == Nobody {
		return
	}
	switch {
	case a.Outcome == Timeout || a.Errno == "":
		t.say(a.noticed, on(a.noticedBy), "the %s gives the connection up", a.NoticedBy)
	default:
		t.say(a.noticed, on(a.noticedBy), "the kernel closes the %s's socket: the next call of its program gets %s", a.NoticedBy, a.Errno)
	}
	if a.Outcome == Reconnected {
		fresh := accounts[a.replacedBy-1]
		t.say(fresh.Flow.Since, on(fresh.opening()), "the client's program opens a new connection by itself, from %s", fresh.Flow.Local)
	}
}

// opening is the packet by which a program has opened the connection.
func (a *Account) opening() any {
	for _, p := range a.Packets {
		if p.Src == a.Flow.Local && p.Flags.Has(packet.SYN) && !p.Flags.Has(packet.ACK) {
			return p
		}
	}
	return nil
}

// lostPhrase is how the client lost its connection, in words.
func (a *Account) lostPhrase() string {
	if a.Errno == "" {
		return "it was given up"
	}
	return fmt.Sprintf("the %s got %s", a.NoticedBy, a.Errno)
}
