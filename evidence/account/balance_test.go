package account

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

const (
	fin = packet.FIN | packet.ACK
	ack = packet.ACK
)

// scene is facts of one connection, told call by call and packet by packet.
type scene struct {
	*facts
	ms int
}

func newScene() *scene {
	s := &scene{facts: otherFacts()}
	s.EndsRead = true
	s.call(peer.Client, "web-1", peer.Connect, 0, nil)
	s.event(s.tick(), conntrack.New, conntrack.TCPSynSent, s.first, 0)
	s.packet("web-1", packet.Out, packet.SYN, 1000, 0, 0)
	s.packet("api-0", packet.In, packet.SYN, 1000, 0, 0)
	s.packet("api-0", packet.Out, packet.SYN|ack, 5000, 1001, 0)
	s.packet("web-1", packet.In, packet.SYN|ack, 5000, 1001, 0)
	return s
}

func (s *scene) tick() int { s.ms++; return s.ms }

func (s *scene) call(side peer.Side, at string, c peer.Call, message int, err error) {
	r := peer.Report{Side: side, At: at, Call: c, Connection: 1, Time: s.after(s.tick()), Local: s.client, Remote: s.service, Err: err}
	if side == peer.Server {
		r.Local, r.Remote = s.first, s.client
	}
	if message > 0 {
		r.Bytes, r.Data = peer.MessageSize, peer.Message(1, message)
	}
	s.Reports = append(s.Reports, r)
}

// message is one of the client's that arrives at a place; empty is nowhere.
func (s *scene) message(n int, at string) {
	s.call(peer.Client, "web-1", peer.Send, n, nil)
	if at != "" {
		s.call(peer.Server, at, peer.Recv, n, nil)
	}
}

func (s *scene) flush() {
	s.event(s.tick(), conntrack.Destroy, conntrack.TCPEstablished, s.first, 4711)
}

func (s *scene) packet(at string, d packet.Direction, flags packet.TCPFlags, seq, ack uint32, payload int) {
	p := packet.Packet{At: at, Time: s.after(s.tick()), Direction: d, Protocol: packet.TCP, Flags: flags, Seq: seq, Ack: ack, Payload: payload,
		Src: s.client, Dst: s.service}
	if at != "web-1" {
		p.Dst = s.first
	}
	if (at == "web-1") == (d == packet.In) {
		p.Src, p.Dst = p.Dst, p.Src
	}
	s.Packets = append(s.Packets, p)
}

// ends puts the sockets' last states; empty is none.
func (s *scene) ends(client, server string) {
	for _, l := range []evidence.LastState{{Flow: 1, Side: peer.Client, At: "web-1", SocketState: peer.SocketState{State: client}},
		{Flow: 1, Side: peer.Server, At: "api-0", SocketState: peer.SocketState{State: server}}} {
		if l.State != "" {
			s.Last = append(s.Last, l)
		}
	}
}

// shut ends a side's stream; the FIN is sent so many times and acknowledged or not.
func (s *scene) shut(side peer.Side, at string, times int, acked bool) {
	s.call(side, at, peer.Shutdown, 0, nil)
	seq, from := uint32(1001), "web-1"
	if side == peer.Server {
		seq, from = 5001, "api-0"
	}
	for range times {
		s.packet(from, packet.Out, fin, seq, 1001, 0)
	}
	if acked {
		s.packet(from, packet.In, ack, 5001, seq+1, 0)
	}
}

// Each outcome of a TCP connection is read off a balance with an item that shows it; what no item shows is unknown, and
// never survived.
func TestBalance(t *testing.T) {
	open := func(s *scene) { s.ends("ESTABLISHED", "ESTABLISHED") }
	resend := func(s *scene, side int) {
		s.Last[side].Unacked, s.Last[side].Retransmits, s.Last[side].SendQueue = 1, 2, 10
	}
	for name, c := range map[string]struct {
		tell    func(*scene)
		want    Outcome
		noticed string
		why     string
	}{
		"used after the flush": {func(s *scene) { s.message(1, "api-0"); s.flush(); s.message(2, "api-0"); open(s) },
			Survived, "", "both sockets are ESTABLISHED"},
		"no break, used":   {func(s *scene) { s.message(1, "api-0"); open(s) }, Survived, "", "1 message"},
		"no break, idle":   {func(s *scene) { open(s) }, Unknown, "", "nothing was sent"},
		"never used again": {func(s *scene) { s.message(1, "api-0"); s.flush(); open(s) }, Unknown, "", "nothing was sent since the last break"},
		"a pod is killed, never used again": {func(s *scene) {
			s.message(1, "api-0")
			s.Deeds = append(s.Deeds, evidence.Deed{Time: s.after(s.tick()), At: "step", Kind: "kill-pod"})
			open(s)
		}, Unknown, "", "nothing was sent since the last break"},
		"the last message never arrived": {func(s *scene) { s.flush(); s.message(1, ""); open(s) }, Unknown, "", "0 of the client's 1 message arrived"},
		"it was sent again":              {func(s *scene) { s.flush(); s.message(1, ""); open(s); resend(s, 0) }, Hang, Nobody, "10 bytes unacknowledged, sent again 2 times"},
		"it never got out of its own machine": {func(s *scene) {
			s.flush()
			s.message(1, "")
			open(s)
			s.Last[0].NotSent, s.Last[0].Window, s.Last[0].Probes = 10, 65536, 2
		}, Hang, Nobody, "which its own machine does not let out, tried again 2 times"},
		"it waits for the peer's window": {func(s *scene) {
			s.flush()
			s.message(1, "")
			open(s)
			s.Last[0].NotSent, s.Last[0].Window, s.Last[0].Probes = 10, 0, 2
		}, Unknown, "", "0 of the client's 1 message arrived"},
		"the server's was sent again": {func(s *scene) {
			s.message(1, "api-0")
			s.flush()
			s.call(peer.Server, "api-0", peer.Send, 1, nil)
			open(s)
			resend(s, 1)
		}, Hang, Nobody, "api-0's socket is ESTABLISHED, 10 bytes unacknowledged"},
		"the server's socket is gone": {func(s *scene) { s.message(1, "api-0"); s.ends("ESTABLISHED", "") }, Unknown, "", "api-0 has no socket of it any more"},
		"sockets were not read":       {func(s *scene) { s.message(1, "api-0"); s.EndsRead = false }, Unknown, "", "is not known"},
		"the states do not agree":     {func(s *scene) { s.message(1, "api-0"); s.ends("ESTABLISHED", "CLOSE_WAIT") }, Unknown, "", "api-0's socket is CLOSE_WAIT"},
		"told by its kernel": {func(s *scene) {
			s.flush()
			s.message(1, "")
			s.packet("web-1", packet.In, packet.RST, 5001, 0, 0)
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.ECONNRESET)
			s.ends("CLOSE", "ESTABLISHED")
		}, Reset, "client", "the client's send got ECONNRESET"},
		"a RST at a client that has not looked": {func(s *scene) {
			s.message(1, "api-0")
			s.ends("CLOSE", "ESTABLISHED")
			s.Last[0].Pending = syscall.ECONNRESET
		}, Reset, Nobody, "ECONNRESET waits for its program's next call"},
		"a RST at a server that has not looked": {func(s *scene) {
			s.message(1, "api-0")
			s.ends("FIN_WAIT2", "CLOSE")
			s.Last[1].Pending = syscall.EPIPE
		}, Reset, Nobody, "api-0's socket is CLOSE, EPIPE waits"},
		"a timeout that the client has not looked at": {func(s *scene) {
			s.message(1, "api-0")
			s.ends("CLOSE", "ESTABLISHED")
			s.Last[0].Pending = syscall.ETIMEDOUT
		}, Timeout, Nobody, "ETIMEDOUT waits"},
		"keepalive gives up": {func(s *scene) {
			s.message(1, "api-0")
			s.packet("web-1", packet.Out, packet.RST, 1001, 0, 0)
			s.ends("CLOSE", "")
		}, Timeout, Nobody, "the client's kernel sent a RST of its own"},
		"closed with unread data": {func(s *scene) {
			s.message(1, "api-0")
			s.call(peer.Client, "web-1", peer.Close, 0, nil)
			s.packet("web-1", packet.Out, packet.RST, 1001, 0, 0)
			s.ends("", "ESTABLISHED")
		}, Reset, Nobody, "the client's kernel sent a RST of its own"},
		"a FIN that is never acknowledged": {func(s *scene) {
			s.message(1, "api-0")
			s.flush()
			s.shut(peer.Client, "web-1", 3, false)
			s.ends("FIN_WAIT1", "ESTABLISHED")
		}, Hang, Nobody, "the client's FIN was never acknowledged, sent 3 times"},
		"a FIN that may be on its way": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, false)
			s.ends("FIN_WAIT1", "ESTABLISHED")
		}, Unknown, "", "the client's FIN was never acknowledged"},
		"a FIN that its kernel has given up on": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 9, false)
			s.ends("", "ESTABLISHED")
		}, Timeout, Nobody, "the client's FIN was never acknowledged, sent 9 times"},
		"half-closed by the client": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, true)
			s.ends("FIN_WAIT2", "CLOSE_WAIT")
		}, Survived, "", "the client's FIN was acknowledged"},
		"half-closed, and forgotten by the kernel": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, true)
			s.ends("", "CLOSE_WAIT")
		}, Survived, "", "the client's FIN was acknowledged"},
		"half-closed, never used since the break": {func(s *scene) {
			s.message(1, "api-0")
			s.flush()
			s.shut(peer.Client, "web-1", 1, true)
			s.ends("FIN_WAIT2", "CLOSE_WAIT")
		}, Unknown, "", "nothing was sent since the last break"},
		"closed by both": {func(s *scene) {
			s.message(1, "api-0")
			s.flush()
			s.shut(peer.Client, "web-1", 1, true)
			s.shut(peer.Server, "api-0", 1, true)
			s.ends("TIME_WAIT", "")
		}, Closed, "", "api-0's FIN was acknowledged"},
		"closed by both, one FIN lost": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, true)
			s.shut(peer.Server, "api-0", 4, false)
			s.ends("FIN_WAIT2", "LAST_ACK")
		}, Hang, Nobody, "api-0's FIN was never acknowledged"},
		"closed by both, one FIN not seen": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, true)
			s.shut(peer.Server, "api-0", 0, false)
			s.ends("TIME_WAIT", "")
			s.Lost["packet"] = 1
		}, Unknown, "", "it is not known whether api-0's FIN was acknowledged"},
		"at another's server": {func(s *scene) { s.message(1, "api-0"); s.flush(); s.message(2, "api-1"); open(s) },
			WrongBackend, Nobody, "2 of the client's 2 messages arrived at api-1, the first at api-0"},
		"at no endpoint": {func(s *scene) { s.message(1, "stranger"); open(s) }, WrongBackend, Nobody, "at stranger"},
		"refused": {func(s *scene) {
			s.Reports, s.Packets = nil, nil
			s.call(peer.Client, "web-1", peer.Connect, 0, syscall.ECONNREFUSED)
		}, Refused, "client", "the client's connect got ECONNREFUSED"},
		"no port left on this machine": {func(s *scene) {
			s.Reports, s.Packets = nil, nil
			s.call(peer.Client, "web-1", peer.Connect, 0, syscall.EADDRNOTAVAIL)
		}, Unknown, "client", "EADDRNOTAVAIL"},
		"never opened": {func(s *scene) { s.Reports, s.Packets, s.Flows = nil, nil, nil }, Unknown, "", "the connection was never opened"},
		"used after its own end": {func(s *scene) {
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, true)
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.EPIPE)
			s.ends("FIN_WAIT2", "CLOSE_WAIT")
		}, Survived, "", "the client's FIN was acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			c.tell(s)
			a, _, _ := s.accounted()
			if a.Outcome != c.want || a.NoticedBy != c.noticed || !strings.Contains(a.Balance.Why(), c.why) {
				t.Errorf("%s, noticed by %q: %s\nwant %s, %q: %s\n%+v", a.Outcome, a.NoticedBy, a.Balance.Why(), c.want, c.noticed, c.why, a.Balance)
			}
			if half := strings.HasPrefix(name, "half-closed") && c.want == Survived || name == "used after its own end"; a.HalfClosed != half {
				t.Errorf("half-closed %v", a.HalfClosed)
			}
		})
	}
}

// newDatagrams is a scene over UDP.
func newDatagrams() *scene {
	s := &scene{facts: otherFacts()}
	s.UDP, s.EndsRead = true, true
	s.call(peer.Client, "web-1", peer.Connect, 0, nil)
	return s
}

// datagram is a message and its answer: where each arrives, empty is nowhere.
func (s *scene) datagram(n int, at, answer string) {
	s.message(n, at)
	if at != "" {
		s.call(peer.Server, at, peer.Send, n, nil)
	}
	if answer != "" {
		s.Packets = append(s.Packets, packet.Packet{At: answer, Time: s.after(s.tick()), Direction: packet.In, Protocol: packet.UDP,
			Src: s.service, Dst: s.client, Payload: peer.MessageSize})
	}
}

// Each message of a UDP connection is on its own: the last one tells.
func TestBalanceOfDatagrams(t *testing.T) {
	refused := func(s *scene) {
		s.Packets = append(s.Packets, packet.Packet{At: "web-1", Time: s.after(s.tick()), Direction: packet.In, Protocol: packet.ICMP,
			Src: netip.AddrPortFrom(s.service.Addr(), 0), Dst: netip.AddrPortFrom(s.client.Addr(), 0),
			Error: packet.ICMPError{Type: 3, Code: 3, Protocol: packet.UDP, Src: s.client, Dst: s.service}})
	}
	for name, c := range map[string]struct {
		tell          func(*scene)
		want          Outcome
		lost, answers int
		why           string
	}{
		"answered":                {func(s *scene) { s.datagram(1, "api-0", "web-1") }, Survived, 0, 0, "1 of the client's 1 message arrived at api-0"},
		"idle":                    {func(s *scene) {}, Unknown, 0, 0, "nothing was sent"},
		"never used again":        {func(s *scene) { s.datagram(1, "api-0", "web-1"); s.flush() }, Unknown, 0, 0, "nothing was sent since"},
		"to a dead pod":           {func(s *scene) { s.datagram(1, "api-0", "web-1"); s.datagram(2, "", ""); s.datagram(3, "", "") }, Hang, 2, 0, "1 of the client's 3 messages arrived"},
		"lost once, then arrives": {func(s *scene) { s.datagram(1, "", ""); s.flush(); s.datagram(2, "api-1", "web-1") }, Survived, 1, 0, "arrived at api-1"},
		"the answer never comes":  {func(s *scene) { s.datagram(1, "api-0", "web-1"); s.datagram(2, "api-0", "") }, Hang, 0, 1, "1 of the server's 2 answers arrived"},
		"nobody watches for it": {func(s *scene) {
			s.datagram(1, "api-0", "")
			s.Unwatched = map[evidence.Source]bool{evidence.FromPackets: true}
		}, Unknown, 0, -1, "packet was not watched"},
		"refused, and told": {func(s *scene) {
			s.datagram(1, "", "")
			refused(s)
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.ECONNREFUSED)
		}, Refused, 1, 0, "ECONNREFUSED"},
		"refused, nobody is told": {func(s *scene) { s.datagram(1, "", ""); refused(s) }, Refused, 1, 0, "an ICMP error reached the client"},
		"refused, the error waits": {func(s *scene) {
			s.datagram(1, "", "")
			s.Last = []evidence.LastState{{Flow: 1, Side: peer.Client, At: "web-1", Pending: syscall.ECONNREFUSED}}
		}, Refused, 1, 0, "ECONNREFUSED waits"},
		"refused early, then healed": {func(s *scene) {
			s.datagram(1, "", "")
			refused(s)
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.ECONNREFUSED)
			s.datagram(3, "api-0", "web-1")
		}, Survived, 1, 0, "1 of the client's 2 messages arrived at api-0"},
		"at no endpoint": {func(s *scene) { s.datagram(1, "stranger", "web-1") }, WrongBackend, 0, 0, "at stranger"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDatagrams()
			c.tell(s)
			a, _, _ := s.accounted()
			answers := -1
			if a.LostAnswers != nil {
				answers = *a.LostAnswers
			}
			if a.Outcome != c.want || *a.LostMessages != c.lost || answers != c.answers || !strings.Contains(a.Balance.Why(), c.why) {
				t.Errorf("%s, %d messages and %d answers lost: %s\nwant %s, %d, %d: %s\n%+v", a.Outcome, *a.LostMessages, answers, a.Balance.Why(),
					c.want, c.lost, c.answers, c.why, a.Balance)
			}
		})
	}
}

// What a source would have to tell cannot be told without it: the outcomes that remain are those of the table.
func TestPossibleWithout(t *testing.T) {
	scenes := map[Outcome]func() *scene{
		Survived: func() *scene { s := newScene(); s.message(1, "api-0"); s.ends("ESTABLISHED", "ESTABLISHED"); return s },
		Closed: func() *scene {
			s := newScene()
			s.message(1, "api-0")
			s.shut(peer.Client, "web-1", 1, true)
			s.shut(peer.Server, "api-0", 1, true)
			s.ends("", "")
			return s
		},
		Reset: func() *scene {
			s := newScene()
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.ECONNRESET)
			return s
		},
		Hang: func() *scene {
			s := newScene()
			s.ends("ESTABLISHED", "ESTABLISHED")
			s.Last[0].Retransmits = 2
			return s
		},
		Refused: func() *scene {
			s := newScene()
			s.Reports = nil
			s.call(peer.Client, "web-1", peer.Connect, 0, syscall.ECONNREFUSED)
			return s
		},
		Timeout: func() *scene {
			s := newScene()
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.ETIMEDOUT)
			return s
		},
		WrongBackend: func() *scene {
			s := newScene()
			s.message(1, "stranger")
			s.ends("ESTABLISHED", "ESTABLISHED")
			return s
		},
	}
	datagrams := map[Outcome]func() *scene{
		Survived: func() *scene { s := newDatagrams(); s.datagram(1, "api-0", "web-1"); return s },
		Hang:     func() *scene { s := newDatagrams(); s.datagram(1, "", ""); return s },
		Refused: func() *scene {
			s := newDatagrams()
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.ECONNREFUSED)
			return s
		},
		Timeout: func() *scene {
			s := newDatagrams()
			s.call(peer.Client, "web-1", peer.Send, 0, syscall.EHOSTUNREACH)
			return s
		},
		WrongBackend: func() *scene { s := newDatagrams(); s.datagram(1, "stranger", "web-1"); return s },
	}
	for programs, all := range map[Programs]map[Outcome]func() *scene{OwnTCP: scenes, OwnUDP: datagrams} {
		for outcome, make := range all {
			if a, _, _ := make().accounted(); a.Outcome != outcome {
				t.Errorf("%s, all is watched: %s: %s, want %s", programs, a.Outcome, a.Balance.Why(), outcome)
			}
			for _, source := range evidence.Sources {
				s := make()
				s.Unwatched = map[evidence.Source]bool{source: true}
				switch source {
				case evidence.FromConntrack:
					s.Events = nil
				case evidence.FromPackets:
					s.Packets = nil
				}
				want := Unknown
				if slices.Contains(PossibleWithout(source, programs), outcome) {
					want = outcome
				}
				if a, _, _ := s.accounted(); a.Outcome != want {
					t.Errorf("%s, %s without %s: %s: %s, want %s", programs, outcome, source, a.Outcome, a.Balance.Why(), want)
				}
			}
		}
	}
}

// The kernel counts a FIN as a byte of both queues; what is unacknowledged and unread is data.
func TestQueues(t *testing.T) {
	for _, c := range []struct {
		state           string
		send, recv      int
		unacked, unread int
	}{
		{"ESTABLISHED", 10, 20, 10, 20}, {"FIN_WAIT1", 1, 0, 0, 0}, {"FIN_WAIT1", 11, 5, 10, 5}, {"CLOSE_WAIT", 0, 1, 0, 0},
		{"CLOSE_WAIT", 3, 11, 3, 10}, {"LAST_ACK", 1, 1, 0, 0}, {"FIN_WAIT2", 0, 10, 0, 10}, {"CLOSE", 0, 0, 0, 0},
	} {
		s := &end{last: &evidence.LastState{SocketState: peer.SocketState{State: c.state}, SendQueue: c.send, RecvQueue: c.recv}}
		if unacked, unread := s.queues(); unacked != c.unacked || unread != c.unread {
			t.Errorf("%s with %d and %d: %d unacknowledged, %d unread", c.state, c.send, c.recv, unacked, unread)
		}
	}
}
