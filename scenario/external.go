package scenario

import (
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/packet"
)

// judgeExternal judges connections of a program that tells nothing of its calls, from the packets at both ends and from
// what the kernel says of the sockets.
func judgeExternal(e *evidence, accounts []*account) {
	for _, a := range accounts {
		a.Errno, a.NoticedBy, a.Peer = "", "", ""
		w := &witness{e: e, a: a}
		for _, p := range a.packets {
			if p.Protocol == packet.TCP {
				w.see(p)
			}
		}
		a.Outcome = w.outcome()
		if a.Outcome == Reset && a.NoticedBy == string(probe.Client) {
			a.halfOpen()
		}
		a.established, a.aside = w.established, w.aside()
	}
	for _, a := range accounts {
		a.replaced(accounts)
	}
}

// witness is what the packets of one connection tell.
type witness struct {
	e *evidence
	a *account
	// established is true once the client got its SYN+ACK; left is when the client ended its side, peerLeft when the
	// server had ended its, as the client knows.
	established    bool
	left, peerLeft time.Time
	// went is what the client has sent last, leaving what ended its side.
	went, leaving *packet.Packet
	// used is the first thing that the client sent after the last break; answered is true if anything but a RST came
	// back since.
	used     time.Time
	answered bool
}

func (w *witness) see(p *packet.Packet) {
	client := p.At == w.e.clientAt
	switch {
	case client && p.Direction == packet.In && p.Src == w.e.service:
		w.clientGets(p)
	case client && p.Direction == packet.Out && p.Dst == w.e.service:
		w.went = p
		if w.left.IsZero() && (p.Flags.Has(packet.FIN) || p.Flags.Has(packet.RST)) {
			w.left, w.leaving = p.Time, p
		}
		if w.used.IsZero() && p.Time.After(w.a.lastBreak) && w.left.IsZero() && !w.a.lastBreak.IsZero() {
			w.used = p.Time
		}
	case p.Direction == packet.In && p.Flags.Has(packet.RST) && w.left.IsZero() && w.e.pods[p.Dst.Addr()] == p.At:
		w.notice(probe.Server, p.Time, p, "ECONNRESET")
	}
}

func (w *witness) clientGets(p *packet.Packet) {
	switch {
	case p.Flags.Has(packet.RST) && !w.established:
		w.notice(probe.Client, p.Time, p, "ECONNREFUSED")
	case p.Flags.Has(packet.RST) && w.left.IsZero() && !w.peerLeft.IsZero():
		w.notice(probe.Client, p.Time, p, "EPIPE")
	case p.Flags.Has(packet.RST) && w.left.IsZero():
		w.notice(probe.Client, p.Time, p, "ECONNRESET")
	case p.Flags.Has(packet.SYN):
		w.established = true
	case p.Flags.Has(packet.FIN) && w.peerLeft.IsZero():
		w.peerLeft = p.Time
	}
	w.answered = w.answered || !w.used.IsZero() && !p.Flags.Has(packet.RST)
}

// notice notes who was first to be told, and by which packet it is known.
func (w *witness) notice(side probe.Side, at time.Time, by *packet.Packet, errno string) {
	if w.a.NoticedBy == "" {
		w.a.NoticedBy, w.a.Errno, w.a.noticed, w.a.noticedBy = string(side), errno, at, by
		t := w.e.since(at)
		w.a.NoticedAt = &t
	}
}

func (w *witness) outcome() Outcome {
	own, there := w.own()
	unanswered := !w.used.IsZero() && !w.answered
	switch {
	case w.a.Errno == "ECONNREFUSED":
		return Refused
	case w.a.Errno != "":
		return Reset
	case !w.established:
		return Timeout
	case unanswered && !w.left.IsZero():
		w.notice(probe.Client, w.left, w.leaving, "") // it has lost patience
		return Timeout
	case w.left.IsZero() && w.peerLeft.IsZero() && !there && !w.e.interrupted:
		w.notice(probe.Client, w.e.ended, w.went, "ETIMEDOUT") // the kernel has given up on what went out last
		return Timeout
	case there && (own.Retransmits > 0 || unanswered && own.Unacked > 0):
		return Hang
	}
	return Survived
}

// own is the client's socket as it was at the end; false if there was none any more.
func (w *witness) own() (lastState, bool) {
	i := slices.IndexFunc(w.a.last, func(l *lastState) bool { return l.side == probe.Client })
	if i < 0 {
		return lastState{}, false
	}
	return *w.a.last[i], true
}

// aside is true for a connection that the program had closed before anything was broken.
func (w *witness) aside() bool {
	return !w.left.IsZero() && w.a.Breaks == 0 && w.a.Outcome == Survived
}

// replaced finds the connection that the program has opened in the place of one that it lost.
func (a *account) replaced(accounts []*account) {
	if a.Outcome != Reset && a.Outcome != Timeout || !a.established || a.aside {
		return
	}
	for _, o := range accounts {
		if o.established && o.Replaces == 0 && o.ID > a.ID && o.flow.since.After(a.noticed) && o.Outcome == Survived {
			o.Replaces, o.aside = a.ID, true
			a.Outcome, a.replacedBy = Reconnected, o.ID
			return
		}
	}
}

// withSettings adds to each connection what was set on its sockets.
func withSettings(e *evidence, accounts []*account) {
	for _, set := range e.settings {
		if set.flow < 1 || set.flow > len(accounts) {
			continue
		}
		one := &SocketSettings{Process: set.Process, KeepAlive: set.KeepAlive, IdleS: set.Idle.Seconds(),
			IntervalS: set.Interval.Seconds(), Count: set.Count, UserTimeoutS: set.UserTimeout.Seconds(), Text: set.String()}
		if set.side == probe.Client {
			accounts[set.flow-1].ClientSocket = one
		} else {
			accounts[set.flow-1].ServerSocket = one
		}
	}
}

// external tells what the kernel told external programs, and what the client's did about it.
func (t *teller) external(accounts []*account) {
	if t.e.kept != "" {
		t.say(t.e.keptAt, on(t.e.keeping()), "%s", t.e.kept)
	}
	a := t.a
	if !t.e.external || a.NoticedBy == "" {
		return
	}
	switch a.Outcome {
	case Timeout:
		t.say(a.noticed, on(a.noticedBy), "the %s gives the connection up", a.NoticedBy)
	default:
		t.say(a.noticed, on(a.noticedBy), "the kernel closes the %s's socket: the next call of its program gets %s", a.NoticedBy, a.Errno)
	}
	if a.Outcome == Reconnected {
		fresh := accounts[a.replacedBy-1]
		t.say(fresh.flow.since, on(fresh.opening()), "the client's program opens a new connection by itself, from %s", fresh.flow.local)
	}
}

// opening is the packet by which a program has opened the connection.
func (a *account) opening() any {
	for _, p := range a.packets {
		if p.Src == a.flow.local && p.Flags.Has(packet.SYN) && !p.Flags.Has(packet.ACK) {
			return p
		}
	}
	return nil
}

// lostPhrase is how the client lost its connection, in words.
func (a *account) lostPhrase() string {
	if a.Errno == "" {
		return "it was given up"
	}
	return fmt.Sprintf("the %s got %s", a.NoticedBy, a.Errno)
}
