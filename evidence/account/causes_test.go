package account

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/rulepath"
	"github.com/ctsim/ctsim/probe/socket"
)

// step notes a step that was taken.
func (f *facts) step(ms int, kind, text string) {
	f.Deeds = append(f.Deeds, evidence.Deed{Time: f.after(ms), At: "step", Kind: kind, Text: text})
}

// seg notes a segment as one place sees it, of a stream whose numbers do not matter but to change.
func (f *facts) seg(ms int, at string, direction packet.Direction, src, dst netip.AddrPort, flags packet.TCPFlags, seq uint32, payload int) {
	f.Packets = append(f.Packets, packet.Packet{At: at, Time: f.after(ms), Direction: direction, Protocol: packet.TCP, Src: src, Dst: dst,
		Flags: flags, Seq: seq, Ack: 900, Payload: payload})
}

// reset notes what the kernel says of a RST that it sent; with packet, that one drew it.
func (f *facts) reset(ms int, at, reason, state string, drawn bool, src, dst netip.AddrPort) {
	ev := evidence.KernelEvent{At: at}
	ev.Time, ev.Kind, ev.Reason, ev.State, ev.Packet, ev.Src, ev.Dst = f.after(ms), kernel.SendReset, reason, state, drawn, src, dst
	f.Kernel = append(f.Kernel, ev)
}

func (f *facts) call(ms int, side peer.Side, at string, call peer.Call, bytes int, err error) {
	r := peer.Report{Side: side, At: at, Call: call, Connection: 1, Time: f.after(ms), Bytes: bytes, Err: err, Local: f.client, Remote: f.service}
	if side == peer.Server {
		r.Local, r.Remote = f.first, f.client
	}
	f.Reports = append(f.Reports, r)
}

func (f *facts) last(side peer.Side, at, state string) {
	f.Last = append(f.Last, evidence.LastState{Flow: 1, Side: side, At: at, SocketState: peer.SocketState{State: state}})
}

// bare is an entry for the service's address that translates nothing.
func (f *facts) bare(ms int, kind conntrack.EventType, port uint32) {
	f.event(ms, kind, conntrack.TCPSynSent, f.service, port)
}

// established are the first packets of the connection, as the client and the pod see them, and its entry.
func (f *facts) established() {
	f.event(1, conntrack.New, conntrack.TCPSynSent, f.first, 0)
	f.seg(1, "web-1", packet.Out, f.client, f.service, packet.SYN, 100, 0)
	f.seg(2, "api-0", packet.In, f.client, f.first, packet.SYN, 100, 0)
	f.seg(3, "web-1", packet.In, f.service, f.client, packet.SYN|packet.ACK, 500, 0)
	f.call(4, peer.Client, "web-1", peer.Connect, 0, nil)
	f.call(4, peer.Server, "api-0", peer.Accept, 0, nil)
}

const psh = packet.PSH | packet.ACK

// Each kind of cause is told where its facts are there, and not where they are not.
func TestCauses(t *testing.T) {
	const firstPacket = "at its first packet the flow"
	for _, c := range []struct {
		name    string
		facts   func(*facts)
		is, not []string
	}{
		{"the first packet meets no rule", func(f *facts) {
			f.step(0, "remove-endpoints", "remove all endpoints")
			f.bare(1, conntrack.New, 0)
			f.bare(10, conntrack.Destroy, 4711)
			f.event(20, conntrack.New, conntrack.TCPEstablished, f.first, 0)
		}, []string{"meets no rule on west that translates it", "step: remove all endpoints",
			"the next packet finds no entry, and now a rule translates it: to api-0"}, []string{firstPacket}},
		{"it does", func(f *facts) { f.event(1, conntrack.New, conntrack.TCPSynSent, f.first, 0) },
			[]string{firstPacket}, []string{"meets no rule", "now a rule translates it"}},
		{"an old entry that translates nothing", func(f *facts) { f.bare(1, conntrack.Update, 0) },
			[]string{"meets an entry that was there before it and translates nothing"}, []string{firstPacket, "meets no rule"}},
		{"packets went without an entry before", func(f *facts) {
			f.seg(1, "web-1", packet.Out, f.client, f.service, packet.SYN, 100, 0)
			f.seg(1001, "web-1", packet.Out, f.client, f.service, packet.SYN, 100, 0)
			f.event(1001, conntrack.New, conntrack.TCPSynSent, f.first, 0)
		}, []string{"1 packet of the flow 10.1.0.7:55000 → 10.96.0.10:443 had gone without an entry"}, []string{firstPacket}},
		{"an entry of an earlier connection", func(f *facts) {
			f.event(1, conntrack.Destroy, conntrack.TCPTimeWait, f.first, 0)
			ev := &f.Events[0]
			ev.Timeout, ev.HasTimeout = 119*time.Second, true
			f.event(2, conntrack.New, conntrack.TCPSynSent, f.first, 0)
		}, []string{"the entry of an earlier connection from the same port makes way on west", firstPacket}, []string{"ended by the kernel"}},

		{"steps that brought nothing about are told", func(f *facts) {
			f.established()
			f.step(10, "flush", "flush all")
			f.step(20, "sysctl", "set a=b in west")
			f.step(30, "exec", "run in west: true")
			f.Deeds = append(f.Deeds, evidence.Deed{Time: f.after(31), At: "west", Kind: "exec", Text: "line 1\nline 2"})
			f.step(40, "shutdown", "the client ends its stream")
			f.step(50, "shutdown", "the client ends its stream")
			f.step(60, "send", "the client sends")
		}, []string{"step: flush all", "step: set a=b in west", "step: run in west: true: line 1 …", "step: the client ends its stream, 2 times in all"},
			[]string{"step: the client sends", "line 2"}},
		{"a step whose effect is told is not told again", func(f *facts) {
			f.established()
			f.step(9, "flush", "flush all")
			f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 4711)
			f.Ours = map[uint32]bool{4711: true}
		}, []string{"the entry on west is destroyed: flushed by ctsim"}, []string{"step: flush all"}},

		{"ICMP to an established connection", func(f *facts) {
			f.established()
			f.icmp(10, 1, packet.TCP)
		}, []string{"tells web-1 by ICMP: host unreachable", "a soft error: the socket stays open"}, []string{"gets"}},
		{"ICMP ends a connect", func(f *facts) {
			f.seg(1, "web-1", packet.Out, f.client, f.service, packet.SYN, 100, 0)
			f.icmp(10, 3, packet.TCP)
			f.call(11, peer.Client, "web-1", peer.Connect, 0, syscall.ECONNREFUSED)
			f.Reports[0].Began = f.after(0)
		}, []string{"by ICMP: port unreachable", "the connect gets ECONNREFUSED"}, []string{"soft error"}},
		{"too big a packet", func(f *facts) { f.established(); f.icmp(10, 4, packet.TCP) },
			[]string{"fragmentation needed", "the kernel sends smaller packets"}, []string{"soft error"}},
		{"ICMP of UDP", func(f *facts) { f.icmp(10, 1, packet.UDP) },
			[]string{"UDP does not tell its program"}, []string{"soft error"}},

		{"keepalive gives up, as the kernel says", func(f *facts) {
			f.established()
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 101, 0)
			f.reset(21, "web-1", "TCP_KEEPALIVE_TIMEOUT", "ESTABLISHED", false, f.client, f.service)
		}, []string{"keepalive of web-1 has had no answer and gives the connection up: its kernel sends RST", "reason TCP_KEEPALIVE_TIMEOUT"},
			[]string{"no longer has", "has no such connection", "answers RST", "not known"}},
		{"keepalive gives up, as follows from its probes", func(f *facts) {
			f.established()
			f.seg(5, "web-1", packet.Out, f.client, f.service, psh, 101, 10)
			f.seg(6, "web-1", packet.In, f.service, f.client, ack, 501, 0)
			f.seg(10, "web-1", packet.Out, f.client, f.service, ack, 110, 0)
			f.seg(12, "web-1", packet.Out, f.client, f.service, ack, 110, 0)
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 111, 0)
		}, []string{"keepalive of web-1 has had no answer to 2 probes and gives the connection up: its kernel sends RST"}, []string{"answers RST", "not known"}},
		{"the probes were answered", func(f *facts) {
			f.established()
			f.seg(5, "web-1", packet.Out, f.client, f.service, psh, 101, 10)
			f.seg(10, "web-1", packet.Out, f.client, f.service, ack, 110, 0)
			f.seg(12, "web-1", packet.In, f.service, f.client, ack, 501, 0)
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 111, 0)
			f.Rootless, f.Unwatched = true, map[evidence.Source]bool{evidence.FromKernel: true}
		}, []string{"the kernel of web-1 ends the connection without having been asked; why is not known without root"},
			[]string{"keepalive of web-1 has had no answer", "answers RST", "unread", "SO_LINGER"}},
		{"closed with data unread, as the kernel says", func(f *facts) {
			f.established()
			f.call(19, peer.Client, "web-1", peer.Close, 0, nil)
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 101, 0)
			f.reset(21, "web-1", "TCP_ABORT_ON_CLOSE", "ESTABLISHED", false, f.client, f.service)
		}, []string{"the program in web-1 closes its socket with data unread: its kernel sends RST"}, []string{"answers RST", "not known", "SO_LINGER"}},
		{"closed with data unread, as follows", func(f *facts) {
			f.established()
			f.seg(10, "web-1", packet.In, f.service, f.client, psh, 501, 10)
			f.call(19, peer.Client, "web-1", peer.Close, 0, nil)
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 101, 0)
		}, []string{"the program in web-1 closes its socket with 10 bytes unread: its kernel sends RST"}, []string{"answers RST", "not known"}},
		{"closed with everything read", func(f *facts) {
			f.established()
			f.seg(10, "web-1", packet.In, f.service, f.client, psh, 501, 10)
			f.call(11, peer.Client, "web-1", peer.Recv, 10, nil)
			f.call(19, peer.Client, "web-1", peer.Close, 0, nil)
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 101, 0)
			f.Rootless, f.Unwatched = true, map[evidence.Source]bool{evidence.FromKernel: true}
		}, []string{"the program in web-1 closes its socket", "why is not known without root: its kernel sends RST"}, []string{"unread", "SO_LINGER"}},
		{"closed with SO_LINGER 0", func(f *facts) {
			f.established()
			f.call(19, peer.Client, "web-1", peer.Close, 0, nil)
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST|ack, 101, 0)
			f.reset(21, "web-1", "TCP_STATE", "ESTABLISHED", false, f.client, f.service)
		}, []string{"closes its socket with SO_LINGER 0: its kernel sends RST"}, []string{"unread", "not known"}},
		{"data after close", func(f *facts) {
			f.established()
			f.call(10, peer.Server, "api-0", peer.Close, 0, nil)
			f.seg(20, "api-0", packet.In, f.client, f.first, psh, 101, 10)
			f.seg(21, "api-0", packet.Out, f.first, f.client, packet.RST, 900, 0)
		}, []string{"data arrives after the program in api-0 has closed its socket"}, []string{"has no such connection", "not known"}},
		{"ctsim's own RST", func(f *facts) {
			f.established()
			f.step(10, "inject", "the server's pod sends a stray RST")
			f.seg(11, "api-0", packet.Out, f.first, f.client, packet.RST, 501, 0)
		}, []string{"ctsim's own step sends a RST from api-0, "}, []string{"answers RST", "no longer has"}},
		{"a RST after another step", func(f *facts) {
			f.established()
			f.step(10, "inject", "the server's pod sends a stray RST")
			f.step(12, "send", "the client sends")
			f.seg(13, "api-0", packet.Out, f.first, f.client, packet.RST, 501, 0)
		}, []string{"api-0 no longer has this connection and answers RST"}, []string{"own step sends"}},

		{"a translated RST", func(f *facts) {
			f.established()
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST, 101, 0)
			f.seg(21, "api-0", packet.In, f.client, f.first, packet.RST, 101, 0)
		}, []string{"the RST reaches api-0 as 10.1.0.7:55000 > 10.2.0.1:8443, translated on its way"}, []string{"un-translated"}},
		{"a RST that is lost", func(f *facts) {
			f.established()
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST, 101, 0)
			f.seg(21, "west", packet.Out, f.client, f.first, packet.RST, 101, 0)
		}, []string{"the RST is last seen at west, as 10.1.0.7:55000 > 10.2.0.1:8443: no pod gets it"}, []string{"the RST reaches"}},
		{"and where packets were lost by the capture, that is not said", func(f *facts) {
			f.established()
			f.seg(20, "web-1", packet.Out, f.client, f.service, packet.RST, 101, 0)
			f.seg(21, "west", packet.Out, f.client, f.first, packet.RST, 101, 0)
			f.Lost["packet"] = 1
		}, nil, []string{"no pod gets it"}},
		{"a node's own RST", func(f *facts) {
			f.established()
			f.Paths = []rulepath.Path{{Node: "west", Packet: rulepath.Packet{Protocol: packet.TCP, Src: f.client, Dst: f.service},
				Hops: []rulepath.Hop{{Table: "filter", Chain: "FORWARD", Kind: rulepath.Rule, Text: "-j REJECT --reject-with tcp-reset", Verdict: "DROP", Time: f.after(20)}}}}
			f.seg(21, "web-1", packet.In, f.service, f.client, packet.RST, 501, 0)
		}, []string{"the RST of west's rule reaches web-1", "no pod has sent it"}, []string{"answers RST"}},
		{"a RST from elsewhere", func(f *facts) {
			f.established()
			f.seg(20, "west", packet.Out, f.service, f.client, packet.RST, 501, 0)
			f.seg(21, "web-1", packet.In, f.service, f.client, packet.RST, 501, 0)
		}, []string{"which no pod has sent; it was first seen at west"}, []string{"west's rule", "answers RST"}},

		{"max_retrans", func(f *facts) {
			f.established()
			f.Events[0].Timeout, f.Events[0].HasTimeout = 24*time.Hour, true
			for i := range 5 {
				f.seg(1000+200*i, "web-1", packet.Out, f.client, f.service, psh, 101, 10)
			}
			f.event(9000, conntrack.Destroy, conntrack.TCPEstablished, f.first, 0)
		}, []string{"destroyed: expired, 7.2 s after the last packet and not after the 86400 s that it had: 4 packets were sent again", "max_retrans"}, nil},
		{"only two were sent again", func(f *facts) {
			f.established()
			f.Events[0].Timeout, f.Events[0].HasTimeout = 24*time.Hour, true
			for i := range 3 {
				f.seg(1000+200*i, "web-1", packet.Out, f.client, f.service, psh, 101, 10)
			}
			f.event(9000, conntrack.Destroy, conntrack.TCPEstablished, f.first, 0)
		}, []string{"destroyed: expired"}, []string{"max_retrans"}},
		{"it had its time", func(f *facts) {
			f.established()
			f.Events[0].Timeout, f.Events[0].HasTimeout = 3*time.Second, true
			for i := range 5 {
				f.seg(1000+200*i, "web-1", packet.Out, f.client, f.service, psh, 101, 10)
			}
			f.event(9000, conntrack.Destroy, conntrack.TCPEstablished, f.first, 0)
		}, []string{"destroyed: expired"}, []string{"max_retrans"}},

		{"packets to a pod that is gone", func(f *facts) {
			f.established()
			f.step(10, "kill-pod", "pod api-0 is gone")
			f.seg(20, "web-1", packet.Out, f.client, f.service, psh, 101, 10)
			f.seg(21, "west", packet.Out, f.client, f.first, psh, 101, 10)
			f.seg(22, "east", packet.In, f.client, f.first, psh, 101, 10)
			f.last(peer.Client, "web-1", "ESTABLISHED")
			f.last(peer.Server, "api-0", "ESTABLISHED")
			f.Last[0].Retransmits = 3
		}, []string{"what goes to api-0 (10.2.0.1:8443), which is gone, gets as far as east (1 packet)",
			"the client's socket is still ESTABLISHED, and no server has one that is"}, []string{"the one on api-0"}},
		{"another pod is gone", func(f *facts) {
			f.established()
			f.step(10, "kill-pod", "pod api-1 is gone")
			f.seg(22, "east", packet.In, f.client, f.first, psh, 101, 10)
			f.seg(23, "api-0", packet.In, f.client, f.first, psh, 101, 10)
		}, nil, []string{"which is gone, gets"}},
		{"another has its address", func(f *facts) {
			f.established()
			f.step(10, "kill-pod", "pod api-0 is gone")
			f.seg(22, "east", packet.In, f.client, f.first, psh, 101, 10)
			f.seg(23, "stranger", packet.In, f.client, f.first, psh, 101, 10)
		}, nil, []string{"which is gone, gets"}},

		{"a program closed its own socket", func(f *facts) {
			f.established()
			f.call(10, peer.Client, "web-1", peer.Close, 0, nil)
			f.send(20, net.ErrClosed)
		}, []string{"web-1 has closed its socket itself: a send on it fails in the program"}, []string{"gets", "tcp4"}},
		{"who is left", func(f *facts) {
			f.established()
			f.last(peer.Client, "web-1", "FIN_WAIT1")
			f.last(peer.Server, "api-0", "ESTABLISHED")
			f.Last[0].Retransmits = 4
		}, []string{"the client's socket is in FIN_WAIT1, and the one on api-0 is still ESTABLISHED: it was not told"}, []string{"both sockets"}},
		{"both ends wait", func(f *facts) {
			f.established()
			f.last(peer.Client, "web-1", "LAST_ACK")
			f.last(peer.Server, "api-0", "FIN_WAIT2")
			f.Last[0].Retransmits = 4
		}, []string{"the client's socket is in LAST_ACK, and the one on api-0 in FIN_WAIT2: neither has gone"}, []string{"ESTABLISHED"}},
		{"the server's FIN does not arrive", func(f *facts) {
			f.established()
			f.last(peer.Client, "web-1", "ESTABLISHED")
			f.last(peer.Server, "api-0", "FIN_WAIT1")
			f.Last[1].Retransmits = 4
		}, []string{"the socket on api-0 is in FIN_WAIT1, and the client's is still ESTABLISHED: it was not told"}, []string{"both sockets", "no server has one"}},
		{"nobody has looked", func(f *facts) {
			f.established()
			f.last(peer.Server, "api-0", "CLOSE")
		}, []string{"the kernel has closed the socket on api-0, and its program has not looked yet"}, nil},
		{"somebody has", func(f *facts) {
			f.established()
			f.call(10, peer.Server, "api-0", peer.Recv, 0, syscall.ECONNRESET)
			f.last(peer.Server, "api-0", "CLOSE")
		}, nil, []string{"has not looked"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := otherFacts()
			c.facts(f)
			_, sentences, _ := f.accounted()
			var told []string
			for _, s := range sentences {
				told = append(told, s.Text)
				if len(s.Facts) == 0 {
					t.Errorf("%q rests on nothing", s.Text)
				}
			}
			text := strings.Join(told, "\n")
			for _, want := range c.is {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not told in:\n%s", want, text)
				}
			}
			for _, never := range c.not {
				if slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, never) }) {
					t.Errorf("%q is told in:\n%s", never, text)
				}
			}
		})
	}
}

// icmp is an ICMP error that reaches the client.
func (f *facts) icmp(ms int, code uint8, protocol uint8) {
	f.Packets = append(f.Packets, packet.Packet{At: "web-1", Time: f.after(ms), Direction: packet.In, Protocol: packet.ICMP,
		Src: netip.MustParseAddrPort("10.1.0.1:0"), Dst: netip.AddrPortFrom(f.client.Addr(), 0),
		Error: packet.ICMPError{Type: 3, Code: code, Protocol: protocol, Src: f.client, Dst: f.service}})
}

// The last state rests on the last sample where that shows the same.
func TestLeftRestsOnSample(t *testing.T) {
	f := otherFacts()
	f.established()
	f.last(peer.Client, "web-1", "ESTABLISHED")
	f.last(peer.Server, "api-0", "ESTABLISHED")
	f.Last[0].Retransmits = 2
	f.Samples = []evidence.SocketSample{{Time: f.after(50), At: "api-0", Flow: 1, Side: peer.Server, Socket: socket.Socket{State: socket.Established}}}
	_, sentences, all := f.accounted()
	last := sentences[len(sentences)-1]
	var kinds []string
	for _, n := range last.Facts {
		kinds = append(kinds, all.Observations[n].Source+" "+all.Observations[n].At)
	}
	if !strings.Contains(last.Text, "both sockets are still ESTABLISHED") || strings.Join(kinds, ", ") != "socket api-0, client web-1" {
		t.Errorf("%s rests on %v", last, kinds)
	}
}
