package account

import (
	"github.com/ctsim/ctsim/evidence"

	"net/netip"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/packet"
)

// A connection of a program that tells nothing is judged from its packets and the state of its sockets alone. Each row
// is a story, told in words: c> is a packet that the client sends, c< one that reaches it, s< one that reaches the
// server; "break" is the loss of the entry.
func TestJudgeExternal(t *testing.T) {
	established := []string{"c> SYN", "c< SYNACK", "c> data", "c< data"}
	open := &evidence.LastState{Side: peer.Client, SocketState: peer.SocketState{State: "ESTABLISHED"}}
	hanging := &evidence.LastState{Side: peer.Client, SocketState: peer.SocketState{State: "ESTABLISHED", Unacked: 1, Retransmits: 3}}
	for _, c := range []struct {
		name    string
		packets []string
		last    *evidence.LastState
		outcome Outcome
		errno   string
		noticed string
		aside   bool
	}{
		{"goes on", append(established, "break", "c> data", "c< data"), open, Survived, "", "", false},
		{"not used", append(established, "break"), open, Survived, "", "", false},
		{"reset", append(established, "break", "c> data", "c< RST"), nil, Reset, "ECONNRESET", "client", false},
		{"after the server's end", append(established, "c< FIN", "break", "c> data", "c< RST"), nil, Reset, "EPIPE", "client", false},
		{"server is told first", append(established, "break", "s< RST", "c> data", "c< RST"), nil, Reset, "ECONNRESET", "server", false},
		{"refused", []string{"c> SYN", "c< RST"}, nil, Refused, "ECONNREFUSED", "client", false},
		{"no answer", []string{"c> SYN"}, nil, Timeout, "", "", false},
		{"hangs", append(established, "break", "c> data", "c> data"), hanging, Hang, "", "", false},
		{"the client loses patience", append(established, "break", "c> data", "c> FIN"), nil, Timeout, "", "client", false},
		{"the kernel gives up", append(established, "break", "c> data"), nil, Timeout, "ETIMEDOUT", "client", false},
		{"closed before", append(established, "c> FIN", "c< FIN"), nil, Survived, "", "", true},
		{"closed well after", append(established, "break", "c> data", "c< data", "c> FIN"), nil, Survived, "", "", false},
		{"RST after its own end", append(established, "c> FIN", "c< RST"), nil, Survived, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, a := told(c.packets)
			if c.last != nil {
				a.Last = []*evidence.LastState{c.last}
			}
			JudgeExternal(e, []*Account{a})
			if a.Outcome != c.outcome || a.Errno != c.errno || a.NoticedBy != c.noticed || a.Aside != c.aside {
				t.Errorf("%s %q by %q, aside %v; want %s %q by %q, aside %v", a.Outcome, a.Errno, a.NoticedBy, a.Aside,
					c.outcome, c.errno, c.noticed, c.aside)
			}
		})
	}
}

// A connection opened after another was lost replaces it; one that was there before does not.
func TestReconnected(t *testing.T) {
	for _, c := range []struct {
		name  string
		since time.Duration
		want  Outcome
	}{{"after", time.Hour, Reconnected}, {"before", 0, Reset}} {
		e, lost := told([]string{"c> SYN", "c< SYNACK", "break", "c> data", "c< RST"})
		_, other := told([]string{"c> SYN", "c< SYNACK", "c> data", "c< data"})
		lost.ID, other.ID = 1, 2
		other.Last = []*evidence.LastState{{Side: peer.Client, SocketState: peer.SocketState{State: "ESTABLISHED"}}}
		other.Flow.Since = e.Started.Add(c.since)
		JudgeExternal(e, []*Account{lost, other})
		if lost.Outcome != c.want || (other.Replaces == 1) != (c.want == Reconnected) || other.Aside != (c.want == Reconnected) {
			t.Errorf("%s: %s, replaced by %+v", c.name, lost.Outcome, other.Connection)
		}
	}
}

// told is a connection that these packets tell of, a millisecond apart.
func told(words []string) (*evidence.Evidence, *Account) {
	client, service := netip.MustParseAddrPort("172.18.219.65:40000"), netip.MustParseAddrPort("10.108.33.37:2222")
	server := netip.MustParseAddrPort("172.18.166.130:2222")
	e := &evidence.Evidence{Started: time.Unix(1e9, 0), World: evidence.World{Service: service, ClientAt: "client", Client: client.Addr(),
		External: true, Pods: map[netip.Addr]string{server.Addr(): "server-1"}}}
	a := &Account{Connection: Connection{ID: 1}, Flow: evidence.FlowFacts{ID: 1, Local: client, Since: e.Started}}
	flags := map[string]packet.TCPFlags{"SYN": packet.SYN, "SYNACK": packet.SYN | packet.ACK, "data": packet.PSH | packet.ACK,
		"FIN": packet.FIN | packet.ACK, "RST": packet.RST}
	for i, w := range words {
		at := e.Started.Add(time.Duration(i+1) * time.Millisecond)
		if w == "break" {
			a.Breaks, a.LastBreak = a.Breaks+1, at
			continue
		}
		p := packet.Packet{Time: at, Protocol: packet.TCP, At: "client", Direction: packet.In, Src: service, Dst: client,
			Flags: flags[w[3:]]}
		switch w[:2] {
		case "c>":
			p.Direction, p.Src, p.Dst = packet.Out, client, service
		case "s<":
			p.At, p.Src, p.Dst = "server-1", client, server
		}
		a.Packets = append(a.Packets, &p)
	}
	e.Ended = e.Started.Add(time.Minute)
	return e, a
}
