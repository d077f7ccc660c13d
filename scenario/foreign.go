package scenario

import (
	"fmt"
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/program"
)

// outputLine is a line that a program has written.
type outputLine struct {
	side probe.Side
	at   string
	program.Line
}

// settings are what a program had set on its end of a connection before the first break.
type settings struct {
	flow int
	side probe.Side
	at   string
	program.Settings
}

// ran is a program and how it ended.
type ran struct {
	side        probe.Side
	at, command string
	exit        program.Exit
}

func (e *evidence) outputObservation(o outputLine) Observation {
	return Observation{T: e.since(o.Time), Source: string(o.side), At: o.at, Kind: string(o.Stream), Text: o.Text}
}

// judgeForeign judges connections of a program that tells nothing of its calls, from the packets at both ends and from
// what the kernel says of the sockets.
func (e *evidence) judgeForeign(stories []*story) {
	for _, s := range stories {
		s.Errno, s.NoticedBy, s.Peer = "", "", ""
		v := &witness{e: e, s: s}
		for _, p := range s.packets {
			if p.Protocol == packet.TCP {
				v.see(p)
			}
		}
		s.Outcome = v.outcome()
		if s.Outcome == Reset && s.NoticedBy == string(probe.Client) {
			s.halfOpen()
		}
		s.established, s.aside = v.established, v.aside()
	}
	for _, s := range stories {
		s.replaced(stories)
	}
}

// witness is what the packets of one connection tell.
type witness struct {
	e *evidence
	s *story
	// established is true once the client got its SYN+ACK; left is when the client ended its side, peerLeft when the
	// server had ended its, as the client knows.
	established    bool
	left, peerLeft time.Time
	// used is the first thing that the client sent after the last break; answered is true if anything but a RST came
	// back since.
	used     time.Time
	answered bool
}

func (v *witness) see(p packet.Packet) {
	client := p.At == v.e.clientAt
	switch {
	case client && p.Direction == packet.In && p.Src == v.e.service:
		v.clientGets(p)
	case client && p.Direction == packet.Out && p.Dst == v.e.service:
		if v.left.IsZero() && (p.Flags.Has(packet.FIN) || p.Flags.Has(packet.RST)) {
			v.left = p.Time
		}
		if v.used.IsZero() && p.Time.After(v.s.lastBreak) && v.left.IsZero() && !v.s.lastBreak.IsZero() {
			v.used = p.Time
		}
	case p.Direction == packet.In && p.Flags.Has(packet.RST) && v.left.IsZero() && v.e.pods[p.Dst.Addr()] == p.At:
		v.notice(probe.Server, p.Time, "ECONNRESET")
	}
}

func (v *witness) clientGets(p packet.Packet) {
	switch {
	case p.Flags.Has(packet.RST) && !v.established:
		v.notice(probe.Client, p.Time, "ECONNREFUSED")
	case p.Flags.Has(packet.RST) && v.left.IsZero() && !v.peerLeft.IsZero():
		v.notice(probe.Client, p.Time, "EPIPE")
	case p.Flags.Has(packet.RST) && v.left.IsZero():
		v.notice(probe.Client, p.Time, "ECONNRESET")
	case p.Flags.Has(packet.SYN):
		v.established = true
	case p.Flags.Has(packet.FIN) && v.peerLeft.IsZero():
		v.peerLeft = p.Time
	}
	v.answered = v.answered || !v.used.IsZero() && !p.Flags.Has(packet.RST)
}

// notice notes who was first to be told.
func (v *witness) notice(side probe.Side, at time.Time, errno string) {
	if v.s.NoticedBy == "" {
		v.s.NoticedBy, v.s.Errno, v.s.noticed = string(side), errno, at
		t := v.e.since(at)
		v.s.NoticedAt = &t
	}
}

func (v *witness) outcome() Outcome {
	own, there := v.final()
	unanswered := !v.used.IsZero() && !v.answered
	switch {
	case v.s.Errno == "ECONNREFUSED":
		return Refused
	case v.s.Errno != "":
		return Reset
	case !v.established:
		return Timeout
	case unanswered && !v.left.IsZero():
		v.notice(probe.Client, v.left, "") // it has lost patience
		return Timeout
	case v.left.IsZero() && v.peerLeft.IsZero() && !there && !v.e.interrupted:
		v.notice(probe.Client, v.e.ended, "ETIMEDOUT") // the kernel has given up
		return Timeout
	case there && (own.Retransmits > 0 || unanswered && own.Unacked > 0):
		return Hang
	}
	return Survived
}

func (v *witness) final() (final, bool) {
	i := slices.IndexFunc(v.s.finals, func(f final) bool { return f.side == probe.Client })
	if i < 0 {
		return final{}, false
	}
	return v.s.finals[i], true
}

// aside is true for a connection that the program had closed before anything was broken.
func (v *witness) aside() bool {
	return !v.left.IsZero() && v.s.Breaks == 0 && v.s.Outcome == Survived
}

// halfOpen notes that a server still holds its socket of a connection that the client has lost.
func (s *story) halfOpen() {
	for _, f := range s.finals {
		if f.side == probe.Server && f.State == "ESTABLISHED" {
			s.Peer = HalfOpen
		}
	}
}

// replaced finds the connection that the program has opened in the place of one that it lost.
func (s *story) replaced(stories []*story) {
	if s.Outcome != Reset && s.Outcome != Timeout || !s.established || s.aside {
		return
	}
	for _, o := range stories {
		if o.established && o.Replaces == 0 && o.ID > s.ID && o.facts.since.After(s.noticed) && o.Outcome == Survived {
			o.Replaces, o.aside = s.ID, true
			s.Outcome, s.replacedBy = Reconnected, o.ID
			return
		}
	}
}

// SocketSettings are what a program has set on its end of a connection, as the kernel had it before the first break.
type SocketSettings struct {
	// Process is the name of the process that holds the socket.
	Process string `json:"process"`
	// KeepAlive is SO_KEEPALIVE; IdleS, IntervalS and Count are its timers in seconds, in force only if it is set.
	KeepAlive bool    `json:"keepalive"`
	IdleS     float64 `json:"idle_s"`
	IntervalS float64 `json:"interval_s"`
	Count     int     `json:"count"`
	// UserTimeoutS is TCP_USER_TIMEOUT in seconds; 0 is the kernel's default.
	UserTimeoutS float64 `json:"user_timeout_s"`
	// Text is the same in words.
	Text string `json:"text"`
}

// ProgramRun is a program that ctsim has not written, and how it ended.
type ProgramRun struct {
	// Side is client or server.
	Side    string `json:"side"`
	At      string `json:"at"`
	Command string `json:"command"`
	// ExitCode is nil if it ran until ctsim ended it.
	ExitCode *int `json:"exit_code"`
	// Ended is how, in words; EndedAt when, in seconds since the start of the run.
	Ended   string  `json:"ended"`
	EndedAt float64 `json:"ended_at"`
}

// programRuns are the programs of the run, the client first.
func (e *evidence) programRuns() []ProgramRun {
	var out []ProgramRun
	for _, p := range e.programs {
		one := ProgramRun{Side: string(p.side), At: p.at, Command: p.command, Ended: p.exit.String(), EndedAt: e.since(p.exit.Time)}
		switch {
		case !p.exit.Asked:
			code := p.exit.Code
			one.ExitCode = &code
		case !p.exit.Killed:
			one.Ended = "ran until it was ended"
		}
		out = append(out, one)
	}
	return out
}

// withSettings adds to each connection what was set on its sockets.
func (e *evidence) withSettings(stories []*story) {
	for _, set := range e.settings {
		if set.flow < 1 || set.flow > len(stories) {
			continue
		}
		one := &SocketSettings{Process: set.Process, KeepAlive: set.KeepAlive, IdleS: set.Idle.Seconds(),
			IntervalS: set.Interval.Seconds(), Count: set.Count, UserTimeoutS: set.UserTimeout.Seconds(), Text: set.String()}
		if set.side == probe.Client {
			stories[set.flow-1].ClientSocket = one
		} else {
			stories[set.flow-1].ServerSocket = one
		}
	}
}

// foreign tells what the kernel told the programs, and what the client's program did about it.
func (t *teller) foreign() {
	if t.e.kept != "" {
		t.say(t.e.keptAt, "%s", t.e.kept)
	}
	s := t.s
	if !t.e.foreignClient || s.NoticedBy == "" {
		return
	}
	switch s.Outcome {
	case Timeout:
		t.say(s.noticed, "the %s gives the connection up", s.NoticedBy)
	default:
		t.say(s.noticed, "the kernel closes the %s's socket: the next call of its program gets %s", s.NoticedBy, s.Errno)
	}
	for _, f := range t.e.flows {
		if s.Outcome == Reconnected && f.id == s.replacedBy {
			t.say(f.since, "the client's program opens a new connection by itself, from %s", f.local)
		}
	}
}

// lostPhrase is how the client lost its connection, in words.
func (s *story) lostPhrase() string {
	if s.Errno == "" {
		return "it was given up"
	}
	return fmt.Sprintf("the %s got %s", s.NoticedBy, s.Errno)
}
