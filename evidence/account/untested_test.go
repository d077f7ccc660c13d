package account

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/socket"
)

// opening are the packets by which a connection comes to be and is used; inOrder those that end it in order.
var (
	opening = []string{"c> SYN", "c< SYNACK", "c> data", "c< data", "c> ack"}
	inOrder = []string{"c> FIN", "c< FIN", "c> ack"}
)

// program is a program's connections, made of words as told says, each some time after the run's start.
type program struct {
	e        *evidence.Evidence
	accounts []*Account
}

// connection adds one that begins that late; states are the last ones of its two sockets, none if it has none any more.
func (p *program) connection(late time.Duration, states []string, parts ...[]string) *Account {
	var words []string
	for _, part := range parts {
		words = append(words, part...)
	}
	e, a := told(words)
	if p.e == nil {
		p.e = e
	}
	a.ID = len(p.accounts) + 1
	a.Flow.ID, a.Flow.Since = a.ID, e.Started.Add(late)
	for _, t := range []*time.Time{&a.firstBreak, &a.LastBreak} {
		if !t.IsZero() {
			*t = t.Add(late)
		}
	}
	for _, q := range a.Packets {
		q.Time = q.Time.Add(late)
	}
	for i, state := range states {
		a.Last = append(a.Last, &evidence.LastState{Flow: a.ID, Side: []peer.Side{peer.Client, peer.Server}[i], At: []string{"client", "server-1"}[i],
			SocketState: peer.SocketState{State: state}})
	}
	p.accounts = append(p.accounts, a)
	return a
}

func (p *program) judge() { judgeExternal(p.e, p.accounts) }

var openStates = []string{"ESTABLISHED", "ESTABLISHED"}

// What no break has touched says nothing about breaks, however well it goes: it was closed before, or opened after.
func TestUntested(t *testing.T) {
	type want struct {
		outcome  Outcome
		untested string
		aside    bool
	}
	use := []string{"c> data", "c< data", "c> ack"}
	for _, c := range []struct {
		name  string
		build func(*program)
		want  []want
	}{
		{"closed before, and another opened after", func(p *program) {
			p.connection(0, nil, opening, inOrder)
			p.connection(2*time.Second, openStates, opening)
			p.e.Deeds = []evidence.Deed{{Time: p.e.Started.Add(time.Second), At: "step", Kind: "flush"}}
		}, []want{{Closed, ClosedBefore, true}, {Survived, OpenedAfter, true}}},
		{"opened after, and closed again", func(p *program) {
			p.connection(0, openStates, opening, []string{"break"}, use)
			p.connection(2*time.Second, nil, opening, inOrder)
			p.e.Deeds = []evidence.Deed{{Time: p.e.Started.Add(time.Second), At: "step", Kind: "flush"}}
		}, []want{{Survived, "", false}, {Closed, OpenedAfter, true}}},
		{"opened after the first break, and broken by the second", func(p *program) {
			p.connection(0, nil, opening, inOrder)
			p.connection(2*time.Second, openStates, opening, []string{"break"}, use)
			p.e.Deeds = []evidence.Deed{{Time: p.e.Started.Add(time.Second), At: "step", Kind: "flush"}}
		}, []want{{Closed, ClosedBefore, true}, {Survived, "", false}}},
		{"what prepares the world before the first connection breaks nothing", func(p *program) {
			p.connection(time.Second, openStates, opening)
			p.e.Deeds = []evidence.Deed{{Time: p.e.Started, At: "step", Kind: "sysctl"}}
		}, []want{{Survived, "", false}}},
		{"closed, and nothing was ever broken", func(p *program) { p.connection(0, nil, opening, inOrder) }, []want{{Closed, NeverBroken, true}}},
		{"its entry was renewed, and it was used and closed", func(p *program) {
			p.connection(0, nil, opening)
			p.kept()
			p.accounts = nil
			p.connection(0, nil, opening, []string{"break"}, use, inOrder).unbroken()
		}, []want{{Survived, "", false}}},
		{"its entry was renewed, and it was closed unused", func(p *program) {
			p.connection(0, nil, opening)
			p.kept()
			p.accounts = nil
			p.connection(0, nil, opening, []string{"break"}, inOrder).unbroken()
		}, []want{{Closed, ClosedUnused, false}}},
		{"its entry was renewed, and it was not used", func(p *program) {
			p.connection(0, openStates, opening)
			p.kept()
		}, []want{{Unknown, "", false}}},
		{"lost before, whatever that was", func(p *program) {
			p.connection(0, nil, opening, []string{"c< RST", "break"})
			p.connection(time.Millisecond/2, openStates, opening, []string{"break"}, use)
		}, []want{{Reset, LostBefore, true}, {Survived, "", false}}},
		{"opened after, and lost: that is told", func(p *program) {
			p.connection(0, openStates, opening, []string{"break"}, use)
			p.connection(2*time.Second, nil, []string{"c> SYN", "c< RST"})
			p.e.Deeds = []evidence.Deed{{Time: p.e.Started.Add(time.Second), At: "step", Kind: "flush"}}
		}, []want{{Survived, "", false}, {Refused, "", false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &program{}
			c.build(p)
			p.judge()
			for i, a := range p.accounts {
				if got := (want{a.Outcome, a.Untested, a.Aside}); got != c.want[i] {
					t.Errorf("connection %d: %+v, want %+v: %s", a.ID, got, c.want[i], a.Balance.Why())
				}
			}
		})
	}
}

// kept says that the entry would have expired after the opening, and that a probe renewed it.
func (p *program) kept() {
	p.e.Kept, p.e.KeptAt = "renewed", p.e.Started.Add(5500*time.Microsecond)
	p.e.Deeds = []evidence.Deed{{Time: p.e.KeptAt, At: "step", Kind: "age"}}
}

// unbroken takes the break away that only gave its place.
func (a *Account) unbroken() { a.Breaks, a.firstBreak, a.LastBreak = 0, time.Time{}, time.Time{} }

// A connection that was lost is replaced by one that the program goes on with, and not by whatever else it opens.
func TestReplaced(t *testing.T) {
	reset := [][]string{opening, {"break", "c> data!", "c< RST"}}
	for _, c := range []struct {
		name  string
		build func(*program)
		want  Outcome
	}{
		{"by one that is open", func(p *program) {
			p.connection(0, nil, reset...)
			p.connection(time.Second, openStates, []string{"c> SYN", "c< SYNACK"})
		}, Reconnected},
		{"by one that was used and closed", func(p *program) {
			p.connection(0, nil, reset...)
			p.connection(time.Second, nil, opening, inOrder)
		}, Reconnected},
		{"not by one that was closed unused", func(p *program) {
			p.connection(0, nil, reset...)
			p.connection(time.Second, nil, []string{"c> SYN", "c< SYNACK"}, inOrder)
		}, Reset},
		{"not by one that is lost too", func(p *program) {
			p.connection(0, nil, reset...)
			p.connection(time.Second, nil, []string{"c> SYN", "c< RST"})
		}, Reset},
		{"not by one of those that the program opens and closes beside it", func(p *program) {
			p.connection(0, nil, opening, []string{"break"})
			late := p.connection(time.Second, nil, opening, inOrder)
			p.connection(3*time.Second, nil, opening, inOrder)
			p.accounts[0].Packets = append(p.accounts[0].Packets, p.rst(p.accounts[0], late.Flow.Since.Add(time.Second)))
		}, Reset},
		{"not by one of those that happens to be open at the end", func(p *program) {
			p.connection(0, nil, opening, []string{"break"})
			late := p.connection(time.Second, nil, opening, inOrder)
			p.connection(3*time.Second, openStates, opening)
			p.accounts[0].Packets = append(p.accounts[0].Packets, p.rst(p.accounts[0], late.Flow.Since.Add(time.Second)))
			p.seenOpen(3, 5*time.Millisecond)
		}, Reset},
		{"by one that stays, beside those", func(p *program) {
			p.connection(0, nil, opening, []string{"break"})
			late := p.connection(time.Second, nil, opening, inOrder)
			p.connection(3*time.Second, openStates, opening)
			p.accounts[0].Packets = append(p.accounts[0].Packets, p.rst(p.accounts[0], late.Flow.Since.Add(time.Second)))
			p.seenOpen(3, time.Second)
		}, Reconnected},
		{"by one that is lost too and replaced in turn", func(p *program) {
			p.connection(0, nil, reset...)
			p.connection(time.Second, nil, reset...)
			p.connection(2*time.Second, openStates, opening)
		}, Reconnected},
		{"by one that was opened before the silent one was closed", func(p *program) {
			lost := p.connection(0, []string{"FIN_WAIT1", "ESTABLISHED"}, opening, []string{"break", "c> data!"})
			lost.Last[0].Retransmits = 2
			p.connection(time.Second, openStates, opening)
		}, Reconnected},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &program{}
			c.build(p)
			p.judge()
			if got := p.accounts[0]; got.Outcome != c.want {
				t.Errorf("%s, want %s: %s", got.Outcome, c.want, got.Balance.Why())
			}
		})
	}
}

// seenOpen is a look at the client's socket of a connection, that long after it was opened.
func (p *program) seenOpen(id int, late time.Duration) {
	s := evidence.SocketSample{Time: p.accounts[id-1].Flow.Since.Add(late), At: "client", Flow: id, Side: peer.Client}
	s.State = socket.Established
	p.e.Samples = append(p.e.Samples, s)
}

// rst is a RST that reaches the client of a connection.
func (p *program) rst(a *Account, at time.Time) *packet.Packet {
	return &packet.Packet{Time: at, At: "client", Src: p.e.Service, Dst: a.Flow.Local, Protocol: packet.TCP, Flags: packet.RST, Direction: packet.In}
}

// A connect that an ICMP error ends is refused, or has timed out, as the kernel tells the program; one that is open goes on.
func TestTurnedAway(t *testing.T) {
	for _, c := range []struct {
		code  uint8
		words []string
		want  Outcome
		errno string
	}{
		{portUnreachable, []string{"c> SYN!"}, Refused, "ECONNREFUSED"},
		{1, []string{"c> SYN!"}, Timeout, "EHOSTUNREACH"},
		{netUnreachable, []string{"c> SYN!"}, Timeout, "ENETUNREACH"},
		{fragmentationNeeded, []string{"c> SYN!"}, Timeout, ""},
	} {
		p := &program{}
		a := p.connection(0, nil, c.words)
		a.Packets = append(a.Packets, &packet.Packet{Time: p.e.Started.Add(time.Second), At: "client", Protocol: packet.ICMP, Direction: packet.In,
			Src: netip.MustParseAddrPort("192.168.122.20:0"), Error: packet.ICMPError{Type: destinationUnreachable, Code: c.code, Protocol: packet.TCP}})
		p.judge()
		if a.Outcome != c.want || a.Errno != c.errno {
			t.Errorf("code %d: %s %s, want %s %s", c.code, a.Outcome, a.Errno, c.want, c.errno)
		}
	}
}

// What becomes of the entry of a connection that is over is no break: it would hide that the connection was used since the
// last one.
func TestOverIsNotBroken(t *testing.T) {
	e := &evidence.Evidence{World: evidence.World{External: true, ClientAt: "client", Service: netip.MustParseAddrPort("10.0.0.1:80")}}
	at := func(ms int, d packet.Direction, flags packet.TCPFlags, src netip.AddrPort) *packet.Packet {
		return &packet.Packet{Time: time.Unix(1e9, 0).Add(time.Duration(ms) * time.Millisecond), At: "client", Protocol: packet.TCP, Direction: d, Flags: flags, Src: src}
	}
	other := netip.MustParseAddrPort("10.0.0.9:80")
	for _, c := range []struct {
		name    string
		packets []*packet.Packet
		over    int // milliseconds, 0 is never
	}{
		{"open", []*packet.Packet{at(1, packet.Out, packet.SYN, other), at(2, packet.In, packet.ACK, e.Service)}, 0},
		{"half-closed", []*packet.Packet{at(1, packet.Out, packet.FIN|packet.ACK, other), at(2, packet.Out, packet.FIN|packet.ACK, other)}, 0},
		{"closed", []*packet.Packet{at(1, packet.Out, packet.FIN|packet.ACK, other), at(2, packet.In, packet.FIN|packet.ACK, e.Service)}, 2},
		{"reset", []*packet.Packet{at(3, packet.In, packet.RST, e.Service)}, 3},
		{"a RST that is not the service's", []*packet.Packet{at(3, packet.In, packet.RST, other)}, 0},
		{"its own RST", []*packet.Packet{at(3, packet.Out, packet.RST, other)}, 3},
	} {
		a := &Account{Packets: c.packets}
		want := time.Time{}
		if c.over > 0 {
			want = time.Unix(1e9, 0).Add(time.Duration(c.over) * time.Millisecond)
		}
		if got := a.overAt(e); !got.Equal(want) {
			t.Errorf("%s: over at %s, want %s", c.name, got, want)
		}
	}
	e.Translating = []string{"node"}
	for ms, breaks := range map[int]int{2: 1, 4: 0} {
		a := &Account{Packets: []*packet.Packet{at(3, packet.Out, packet.RST, other)}}
		ev := evidence.EntryEvent{Node: "node"}
		ev.Type, ev.Time = conntrack.Destroy, time.Unix(1e9, 0).Add(time.Duration(ms)*time.Millisecond)
		a.Events = []*evidence.EntryEvent{&ev}
		if a.follow(e); a.Breaks != breaks {
			t.Errorf("an entry that goes at %d ms: %d breaks, want %d", ms, a.Breaks, breaks)
		}
	}
}
