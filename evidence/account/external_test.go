package account

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// A connection of a program that tells nothing is judged from its packets and the state of its sockets alone. Each row
// is a story, told in words: c> is a packet that the client sends, c< one that reaches it, s> and s< the same of the server;
// "break" is the loss of the entry. A word with ! reaches nobody, any other both ends.
func TestJudgeExternal(t *testing.T) {
	established := []string{"c> SYN", "c< SYNACK", "c> data", "c< data", "c> ack"}
	still := func(side peer.Side, state string) *evidence.LastState {
		return &evidence.LastState{Side: side, At: map[peer.Side]string{peer.Client: "client", peer.Server: "server-1"}[side],
			SocketState: peer.SocketState{State: state}}
	}
	both := func(client, server string) (out []*evidence.LastState) {
		if client != "" {
			out = append(out, still(peer.Client, client))
		}
		if server != "" {
			out = append(out, still(peer.Server, server))
		}
		return out
	}
	open := both("ESTABLISHED", "ESTABLISHED")
	hanging := both("ESTABLISHED", "ESTABLISHED")
	hanging[0].Unacked, hanging[0].Retransmits, hanging[0].SendQueue = 1, 3, 4
	opening := both("SYN_SENT", "")
	opening[0].Retransmits = 2
	leaving := both("FIN_WAIT1", "ESTABLISHED")
	leaving[0].Retransmits = 2
	tell := func(words ...string) []string { return append(append([]string{}, established...), words...) }
	for _, c := range []struct {
		name    string
		packets []string
		last    []*evidence.LastState
		outcome Outcome
		errno   string
		noticed string
		aside   bool
	}{
		{"goes on", tell("break", "c> data", "c< data", "c> ack"), open, Survived, "", "", false},
		{"never used again", tell("break"), open, Unknown, "", "", false},
		{"used again, its server's socket is gone", tell("break", "c> data", "c< data", "c> ack"), both("ESTABLISHED", ""), Unknown, "", "", false},
		{"used again, not yet acknowledged", tell("break", "c> data!"), open, Unknown, "", "", false},
		{"reset", tell("break", "c> data!", "c< RST"), nil, Reset, "ECONNRESET", "client", false},
		{"after the server's end", tell("c< FIN", "c> ack", "break", "c> data!", "c< RST"), nil, Reset, "EPIPE", "client", false},
		{"server is told first", tell("break", "s< RST", "c> data!", "c< RST"), nil, Reset, "ECONNRESET", "server", false},
		{"refused", []string{"c> SYN", "c< RST"}, nil, Refused, "ECONNREFUSED", "client", false},
		{"no answer", []string{"c> SYN!"}, nil, Timeout, "", Nobody, false},
		{"its SYN is still sent again", []string{"c> SYN!"}, opening, Hang, "", Nobody, false},
		{"its keepalive gives up", tell("break", "c> probe!", "c> probe!", "c> RST!"), nil, Timeout, "ETIMEDOUT", "client", false},
		{"its program ends it with a RST", tell("break", "c> data", "c< data", "c> RST"), nil, Unknown, "", "", false},
		{"hangs", tell("break", "c> data!", "c> again!"), hanging, Hang, "", Nobody, false},
		{"the client loses patience", tell("break", "c> data!", "c> FIN!"), leaving, Timeout, "", "client", false},
		{"the client loses patience, and its FIN waits behind the data", tell("break", "c> data!", "c> again!"), leaving, Timeout, "", "client", false},
		{"the client has left when the RST comes", tell("break", "c> data!", "c> FIN!", "c< RST"), nil, Reset, "", Nobody, false},
		{"the kernel gives up", tell("break", "c> data!"), nil, Timeout, "ETIMEDOUT", "client", false},
		{"its FIN is never acknowledged", tell("break", "c> FIN!", "c> FIN!"), leaving, Hang, "", Nobody, false},
		{"closed before", tell("c> FIN", "c< FIN", "c> ack"), nil, Closed, "", "", true},
		{"closed before the break, as its entry was", tell("c> FIN", "c< FIN", "c> ack", "break"), nil, Closed, "", "", true},
		{"closed well after", tell("break", "c> data", "c< data", "c> FIN", "c< FIN", "c> ack"), nil, Survived, "", "", false},
		{"half-closed well after", tell("break", "c> data", "c< data", "c> FIN", "c< ack"), both("FIN_WAIT2", "CLOSE_WAIT"), Survived, "", "", false},
		{"RST after its own end", tell("c> FIN", "c< ack", "c< RST"), nil, Closed, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, a := told(c.packets)
			a.Last = c.last
			judgeExternal(e, []*Account{a})
			if a.Outcome != c.outcome || a.Errno != c.errno || a.NoticedBy != c.noticed || a.Aside != c.aside {
				t.Errorf("%s %q by %q, aside %v; want %s %q by %q, aside %v: %+v", a.Outcome, a.Errno, a.NoticedBy, a.Aside,
					c.outcome, c.errno, c.noticed, c.aside, a.Balance)
			}
			if a.Balance.Why() == "" {
				t.Error("the outcome rests on no item")
			}
			if (a.Untested != "") != c.aside {
				t.Errorf("untested: %q", a.Untested)
			}
			for _, s := range Tell(e, e.Index(), a, []*Account{a}) {
				if s.time.Before(e.Started) || strings.Contains(s.text, "the nobody") {
					t.Errorf("told of nobody, or of a time before the run: %s %s", s.time, s.text)
				}
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
		e, lost := told([]string{"c> SYN", "c< SYNACK", "break", "c> data!", "c< RST"})
		_, other := told([]string{"c> SYN", "c< SYNACK", "c> data", "c< data", "c> ack"})
		lost.ID, other.ID = 1, 2
		other.Last = []*evidence.LastState{{Side: peer.Client, At: "client", SocketState: peer.SocketState{State: "ESTABLISHED"}},
			{Side: peer.Server, At: "server-1", SocketState: peer.SocketState{State: "ESTABLISHED"}}}
		other.Flow.Since = e.Started.Add(c.since)
		judgeExternal(e, []*Account{lost, other})
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
		External: true, Pods: map[netip.Addr]string{server.Addr(): "server-1"}}, EndsRead: true}
	a := &Account{Connection: Connection{ID: 1}, Flow: evidence.FlowFacts{ID: 1, Local: client, Since: e.Started}}
	flags := map[string]packet.TCPFlags{"SYN": packet.SYN, "SYNACK": packet.SYN | packet.ACK, "data": packet.PSH | packet.ACK,
		"again": packet.PSH | packet.ACK, "ack": packet.ACK, "probe": packet.ACK, "FIN": packet.FIN | packet.ACK, "RST": packet.RST}
	next := map[byte]uint32{'c': 1000, 's': 5000} // sequence numbers, by who sends
	got := map[byte]uint32{}                      // and what has reached the other
	var flows packet.Flows
	for i, w := range words {
		at := e.Started.Add(time.Duration(i+1) * time.Millisecond)
		if w == "break" {
			if a.Breaks++; a.firstBreak.IsZero() {
				a.firstBreak = at
			}
			a.LastBreak = at
			continue
		}
		lost := w[len(w)-1] == '!'
		word := w[3:]
		if lost {
			word = word[:len(word)-1]
		}
		from, to := byte('c'), byte('s')
		if (w[0] == 'c') == (w[1] == '<') {
			from, to = to, from
		}
		p := packet.Packet{Time: at, Protocol: packet.TCP, Flags: flags[word], Seq: next[from], Ack: got[to]}
		size := uint32(0)
		switch word {
		case "SYN", "SYNACK", "FIN":
			size = 1
		case "data":
			p.Payload, size = 4, 4
		case "again":
			p.Payload, p.Seq = 4, next[from]-4
		case "probe":
			p.Seq = next[from] - 1
		}
		if word != "FIN" || !lost { // a lost FIN is sent again with the same number
			next[from] += size
		}
		if !lost {
			got[from] = next[from]
		}
		for _, place := range []byte{'c', 's'} {
			if place != w[0] && (lost || word == "RST") {
				continue
			}
			q := p
			q.At, q.Src, q.Dst, q.Direction = "client", client, service, packet.Out
			if place == 's' {
				q.At, q.Dst, q.Direction = "server-1", server, packet.In
			}
			if from == 's' {
				q.Src, q.Dst, q.Direction = q.Dst, q.Src, packet.In+packet.Out-q.Direction
			}
			q = flows.Follow(q)
			a.Packets = append(a.Packets, &q)
		}
	}
	e.Ended = e.Started.Add(time.Minute)
	return e, a
}

// Of an external program's connection survival alone needs conntrack; without packets nothing is known.
func TestExternalUnwatched(t *testing.T) {
	words := []string{"c> SYN", "c< SYNACK", "break", "c> data", "c< data", "c> ack"}
	judged := func(s evidence.Source, words ...string) *Account {
		e, a := told(words)
		for _, side := range []peer.Side{peer.Client, peer.Server} {
			a.Last = append(a.Last, &evidence.LastState{Side: side, At: map[peer.Side]string{peer.Client: "client", peer.Server: "server-1"}[side],
				SocketState: peer.SocketState{State: "ESTABLISHED"}})
		}
		e.Unwatched = map[evidence.Source]bool{s: true}
		if s == evidence.FromPackets {
			a.Packets, a.Flow = nil, evidence.FlowFacts{} // its connections are known by their SYN
		}
		judgeExternal(e, []*Account{a})
		return a
	}
	for _, s := range evidence.Sources {
		want := Unknown
		for _, o := range PossibleWithout(s, External) {
			if o == Survived {
				want = Survived
			}
		}
		if a := judged(s, words...); a.Outcome != want {
			t.Errorf("without %s: %s: %s, want %s", s, a.Outcome, a.Balance.Why(), want)
		}
	}
	if a := judged(evidence.FromConntrack, append(words, "c> data!", "c< RST")...); a.Outcome != Reset {
		t.Errorf("a reset without conntrack: %s", a.Outcome)
	}
}
