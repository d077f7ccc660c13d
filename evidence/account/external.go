package account

import (
	"github.com/ctsim/ctsim/evidence"

	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/packet"
)

// JudgeExternal judges connections of a program that tells nothing of its calls, from the packets at both ends and from
// what the kernel says of the sockets.
func JudgeExternal(e *evidence.Evidence, accounts []*Account) {
	for _, a := range accounts {
		a.Errno, a.NoticedBy, a.Peer = "", "", ""
		w := &witness{e: e, a: a}
		for _, p := range a.Packets {
			if p.Protocol == packet.TCP {
				w.see(p)
			}
		}
		a.Outcome = w.outcome()
		if a.Outcome == Reset && a.NoticedBy == string(peer.Client) {
			a.halfOpen()
		}
		a.established, a.Aside = w.established, w.aside()
	}
	for _, a := range accounts {
		a.replaced(accounts)
	}
}

// witness is what the packets of one connection tell.
type witness struct {
	e *evidence.Evidence
	a *Account
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
	client := p.At == w.e.ClientAt
	switch {
	case client && p.Direction == packet.In && p.Src == w.e.Service:
		w.clientGets(p)
	case client && p.Direction == packet.Out && p.Dst == w.e.Service:
		w.went = p
		if w.left.IsZero() && (p.Flags.Has(packet.FIN) || p.Flags.Has(packet.RST)) {
			w.left, w.leaving = p.Time, p
		}
		if w.used.IsZero() && p.Time.After(w.a.LastBreak) && w.left.IsZero() && !w.a.LastBreak.IsZero() {
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
		w.notice(peer.Client, w.left, w.leaving, "") // it has lost patience
		return Timeout
	case w.left.IsZero() && w.peerLeft.IsZero() && !there && !w.e.Interrupted:
		w.notice(peer.Client, w.e.Ended, w.went, "ETIMEDOUT") // the kernel has given up on what went out last
		return Timeout
	case there && (own.Retransmits > 0 || unanswered && own.Unacked > 0):
		return Hang
	}
	return Survived
}

// own is the client's socket as it was at the end; false if there was none any more.
func (w *witness) own() (evidence.LastState, bool) {
	i := slices.IndexFunc(w.a.Last, func(l *evidence.LastState) bool { return l.Side == peer.Client })
	if i < 0 {
		return evidence.LastState{}, false
	}
	return *w.a.Last[i], true
}

// aside is true for a connection that the program had closed before anything was broken.
func (w *witness) aside() bool {
	return !w.left.IsZero() && w.a.Breaks == 0 && w.a.Outcome == Survived
}

// replaced finds the connection that the program has opened in the place of one that it lost.
func (a *Account) replaced(accounts []*Account) {
	if a.Outcome != Reset && a.Outcome != Timeout || !a.established || a.Aside {
		return
	}
	for _, o := range accounts {
		if o.established && o.Replaces == 0 && o.ID > a.ID && o.Flow.Since.After(a.noticed) && o.Outcome == Survived {
			o.Replaces, o.Aside = a.ID, true
			a.Outcome, a.replacedBy = Reconnected, o.ID
			return
		}
	}
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
	if !t.e.External || a.NoticedBy == "" {
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
