package account

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/google/go-cmp/cmp"
)

// facts are evidence that no run has gathered: of another world, with names and addresses of its own.
type facts struct {
	evidence.Evidence
	client, service, first, other netip.AddrPort
}

func otherFacts() *facts {
	at := netip.MustParseAddrPort
	f := &facts{client: at("10.1.0.7:55000"), service: at("10.96.0.10:443"), first: at("10.2.0.1:8443"), other: at("10.2.0.2:8443")}
	f.Evidence = evidence.Evidence{Started: time.Unix(1_800_000_000, 0), Ended: time.Unix(1_800_000_060, 0), Connections: 1,
		World: evidence.World{Service: f.service, ClientAt: "web-1", Client: f.client.Addr(), Nodes: []string{"west", "east"}, Translating: []string{"west"},
			Pods: map[netip.Addr]string{f.first.Addr(): "api-0", f.other.Addr(): "api-1"}},
		Lost: map[string]int{}}
	f.Flows = []evidence.FlowFacts{{ID: 1, Local: f.client, Since: f.after(0)}}
	return f
}

func (f *facts) after(ms int) time.Time { return f.Started.Add(time.Duration(ms) * time.Millisecond) }

func (f *facts) event(ms int, kind conntrack.EventType, state conntrack.TCPState, pod netip.AddrPort, port uint32) {
	ev := evidence.EntryEvent{Node: "west"}
	ev.Type, ev.Time, ev.TCP, ev.HasTCP, ev.PortID = kind, f.after(ms), state, true, port
	ev.Original = conntrack.NewTuple(conntrack.ProtocolTCP, f.client, f.service)
	ev.Reply = conntrack.NewTuple(conntrack.ProtocolTCP, pod, f.client)
	f.Events = append(f.Events, ev)
}

func (f *facts) rst(ms int, at string, direction packet.Direction, src netip.AddrPort) {
	f.Packets = append(f.Packets, packet.Packet{At: at, Time: f.after(ms), Direction: direction, Protocol: packet.TCP, Src: src, Dst: f.client,
		Flags: packet.RST})
}

func (f *facts) send(ms int, err error) {
	f.Reports = append(f.Reports, peer.Report{Side: peer.Client, At: "web-1", Call: peer.Send, Connection: 1, Time: f.after(ms), Bytes: 5,
		Local: f.client, Remote: f.service, Err: err})
}

// accounted is the account of the one connection, with its sentences.
func (f *facts) accounted() (*Account, []Sentence, evidence.Timeline) {
	e, ix, packets := &f.Evidence, f.Index(), f.Followed()
	accounts := AccountsOf(e, f.Connections, ix, packets)
	told := Tell(e, ix, accounts[0], accounts)
	all := e.Timeline(ix, packets, Comments(e, ix, packets, accounts), LastStates(told))
	return accounts[0], Sentences(e, told, all), all
}

// TestAccountOfOtherFacts: an account is made of facts and of what they say of their world, whoever has gathered them: it
// needs no scenario and no run.
func TestAccountOfOtherFacts(t *testing.T) {
	f := otherFacts()
	f.event(1, conntrack.New, conntrack.TCPSynSent, f.first, 0)
	f.send(2, nil)
	f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 4711)
	f.send(20, nil)
	f.event(21, conntrack.New, conntrack.TCPEstablished, f.other, 0)
	f.rst(22, "api-1", packet.Out, f.other)
	f.rst(23, "web-1", packet.In, f.service)
	f.send(30, syscall.ECONNRESET)
	f.Last = []evidence.LastState{{Flow: 1, Side: peer.Server, At: "api-0", SocketState: peer.SocketState{State: "ESTABLISHED"}}}
	a, sentences, all := f.accounted()
	want := Connection{ID: 1, Local: "10.1.0.7:55000", Outcome: Reset, Errno: "ECONNRESET", NoticedBy: "client",
		Backends: []string{"api-0", "api-1"}, Breaks: 1, Peer: HalfOpen}
	if diff := cmp.Diff(want, a.Connection); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var told []string
	for _, s := range sentences {
		var on []string
		for _, n := range s.Facts {
			o := all.Observations[n]
			on = append(on, fmt.Sprintf("%s %s %g", o.At, o.Kind, o.T))
		}
		told = append(told, s.String()+" | "+strings.Join(on, ", "))
	}
	wantTold := []string{
		"+0.001000 s  at its first packet the flow 10.1.0.7:55000 → 10.96.0.10:443 was translated, once, to api-0 (10.2.0.1:8443) by west | west NEW 0.001",
		"+0.010000 s  the entry on west is destroyed: deleted by a caller (port id 4711) | west DESTROY 0.01",
		"+0.021000 s  the next packet finds no entry: west translates it afresh, in mid-stream (ESTABLISHED [UNREPLIED]), this time to api-1 (10.2.0.2:8443) | west NEW 0.001, west NEW 0.021",
		"+0.022000 s  api-1 has no such connection and answers RST, 10.2.0.2:8443 > 10.1.0.7:55000 | api-1 RST 0.022",
		"+0.023000 s  the RST reaches web-1 as 10.96.0.10:443 > 10.1.0.7:55000, as if the service had sent it | web-1 RST 0.023",
		"+0.030000 s  the client's send before had returned success; this one gets ECONNRESET (connection reset by peer) | web-1 send 0.02, web-1 send 0.03",
		// No sample of the socket was taken: its last state is an observation of its own.
		"the old backend does not know: the socket on api-0 is still ESTABLISHED (half-open) | api-0 state 60",
	}
	if diff := cmp.Diff(wantTold, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if entries := a.Entries(&f.Evidence); len(entries) != 2 || entries[0].LastEntry.Destroyer != "caller" || entries[0].LastEntry.PortID != 4711 {
		t.Errorf("entries: %+v", entries)
	}
}

// TestAccountNeedsItsWorld: facts of a world in which another node translates are those of no re-routing.
func TestAccountNeedsItsWorld(t *testing.T) {
	f := otherFacts()
	f.event(1, conntrack.New, conntrack.TCPSynSent, f.first, 0)
	f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 4711)
	f.Translating = []string{"east"}
	if a, sentences, _ := f.accounted(); len(a.Backends) != 0 || a.Breaks != 0 || len(sentences) != 1 ||
		!strings.Contains(sentences[0].Text, "the entry on west, which translates nothing, is destroyed") {
		t.Errorf("%+v, %v", a.Connection, sentences)
	}
}

// TestAccountsOfExternalProgramRest: what a program was told is known by a packet, also where it was told nothing.
func TestAccountsOfExternalProgramRest(t *testing.T) {
	for _, words := range [][]string{
		{"c> SYN", "c< SYNACK", "c> data", "c< data", "break", "c> data", "c< RST"},
		{"c> SYN", "c< SYNACK", "c> data", "c< data", "break", "c> data", "c> FIN"},
		{"c> SYN", "c< SYNACK", "c> data", "c< data", "break", "c> data"},
	} {
		e, a := told(words)
		for _, p := range a.Packets {
			e.Packets = append(e.Packets, *p)
		}
		e.Flows, e.Connections = []evidence.FlowFacts{a.Flow}, 1
		packets, ix := e.Followed(), e.Index()
		// The loss of the entry is not among the packets.
		accounts := []*Account{{Connection: Connection{ID: 1}, Flow: a.Flow, LastBreak: a.LastBreak}}
		for i := range packets {
			accounts[0].Packets = append(accounts[0].Packets, &packets[i])
		}
		JudgeExternal(e, accounts)
		claims := Tell(e, ix, accounts[0], accounts)
		found := false
		for _, s := range Sentences(e, claims, e.Timeline(ix, packets, nil, nil)) {
			found = found || strings.Contains(s.Text, "gives the connection up") || strings.Contains(s.Text, "the kernel closes the client's socket")
			if len(s.Facts) == 0 {
				t.Errorf("%v: %q rests on nothing", words, s)
			}
		}
		if !found {
			t.Errorf("%v: nothing is told of what the client was told", words)
		}
	}
}
