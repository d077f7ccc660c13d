package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// resting finds what a result's account rests on that is not there.
func resting(r *Result) error {
	if len(r.Account) != len(r.Cause) {
		return fmt.Errorf("%d sentences, %d causes", len(r.Account), len(r.Cause))
	}
	for i, s := range r.Account {
		if s.String() != r.Cause[i] {
			return fmt.Errorf("%q is not the cause %q", s, r.Cause[i])
		}
		if len(s.Facts) == 0 {
			return fmt.Errorf("%q rests on nothing", s)
		}
		at := s.AtEnd && s.T == r.DurationS // what holds at the end has been so for some time
		for k, n := range s.Facts {
			if n < 0 || n >= len(r.Timeline) || k > 0 && n <= s.Facts[k-1] {
				return fmt.Errorf("%q rests on %v of %d observations", s, s.Facts, len(r.Timeline))
			}
			o := r.Timeline[n]
			returned := o.Call != nil && o.Call.Took != nil && s.T >= o.T && s.T <= o.T+*o.Call.Took+1e-9
			at = at || s.T == o.T || returned
		}
		if !at {
			return fmt.Errorf("%q: none of its facts is of its time", s)
		}
	}
	return nil
}

// TestSentencesRestOnFacts: each sentence of every recorded run rests on observations of its timeline, one of them of the
// sentence's own time.
func TestSentencesRestOnFacts(t *testing.T) {
	for _, name := range recorded {
		r := NewResult(planOf(t, find(t, name)), evidenceOf(t, name))
		if err := resting(r); err != nil || len(r.Account) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		// And the check would tell.
		for what, spoil := range map[string]func(*Result){
			"no facts":        func(r *Result) { r.Account[0].Facts = nil },
			"beyond the end":  func(r *Result) { r.Account[0].Facts = []int{len(r.Timeline)} },
			"another's fact":  func(r *Result) { r.Account[0].Facts = []int{0} },
			"another's words": func(r *Result) { r.Account[0].Text += "?" },
		} {
			spoilt := NewResult(planOf(t, find(t, name)), evidenceOf(t, name))
			if spoil(spoilt); resting(spoilt) == nil {
				t.Errorf("%s: %s is not found", name, what)
			}
		}
	}
}

// facts are evidence that no run has gathered: of another world, with names and addresses of its own.
type facts struct {
	evidence
	client, service, first, other netip.AddrPort
}

func otherFacts() *facts {
	at := netip.MustParseAddrPort
	f := &facts{client: at("10.1.0.7:55000"), service: at("10.96.0.10:443"), first: at("10.2.0.1:8443"), other: at("10.2.0.2:8443")}
	f.evidence = evidence{started: time.Unix(1_800_000_000, 0), ended: time.Unix(1_800_000_060, 0), connections: 1,
		world: world{service: f.service, clientAt: "web-1", client: f.client.Addr(), nodes: []string{"west", "east"}, translating: []string{"west"},
			pods: map[netip.Addr]string{f.first.Addr(): "api-0", f.other.Addr(): "api-1"}},
		lost: map[string]int{}}
	f.flows = []flowFacts{{id: 1, local: f.client, since: f.after(0)}}
	return f
}

func (f *facts) after(ms int) time.Time { return f.started.Add(time.Duration(ms) * time.Millisecond) }

func (f *facts) event(ms int, kind conntrack.EventType, state conntrack.TCPState, pod netip.AddrPort, port uint32) {
	ev := entryEvent{node: "west"}
	ev.Type, ev.Time, ev.TCP, ev.HasTCP, ev.PortID = kind, f.after(ms), state, true, port
	ev.Original = conntrack.NewTuple(conntrack.ProtocolTCP, f.client, f.service)
	ev.Reply = conntrack.NewTuple(conntrack.ProtocolTCP, pod, f.client)
	f.events = append(f.events, ev)
}

func (f *facts) rst(ms int, at string, direction packet.Direction, src netip.AddrPort) {
	f.packets = append(f.packets, packet.Packet{At: at, Time: f.after(ms), Direction: direction, Protocol: packet.TCP, Src: src, Dst: f.client,
		Flags: packet.RST})
}

func (f *facts) send(ms int, err error) {
	f.reports = append(f.reports, probe.Report{Side: probe.Client, At: "web-1", Call: probe.Send, Connection: 1, Time: f.after(ms), Bytes: 5,
		Local: f.client, Remote: f.service, Err: err})
}

// accounted is the account of the one connection, with its sentences.
func (f *facts) accounted() (*account, []Sentence, timeline) {
	e, ix, packets := &f.evidence, f.index(), f.followed()
	accounts := accountsOf(e, f.connections, ix, packets)
	told := tell(e, ix, accounts[0], accounts)
	all := e.timeline(ix, packets, comments(e, ix, packets, accounts), lastStates(told))
	return accounts[0], sentences(e, told, all), all
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
	f.last = []lastState{{flow: 1, side: probe.Server, at: "api-0", SocketState: probe.SocketState{State: "ESTABLISHED"}}}
	a, account, all := f.accounted()
	want := Connection{ID: 1, Local: "10.1.0.7:55000", Outcome: Reset, Errno: "ECONNRESET", NoticedBy: "client",
		Backends: []string{"api-0", "api-1"}, Breaks: 1, Peer: HalfOpen}
	if diff := cmp.Diff(want, a.Connection); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var told []string
	for _, s := range account {
		var on []string
		for _, n := range s.Facts {
			o := all.observations[n]
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
	if entries := a.entries(&f.evidence); len(entries) != 2 || entries[0].LastEntry.Destroyer != "caller" || entries[0].LastEntry.PortID != 4711 {
		t.Errorf("entries: %+v", entries)
	}
}

// TestAccountNeedsItsWorld: facts of a world in which another node translates are those of no re-routing.
func TestAccountNeedsItsWorld(t *testing.T) {
	f := otherFacts()
	f.event(1, conntrack.New, conntrack.TCPSynSent, f.first, 0)
	f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 4711)
	f.translating = []string{"east"}
	if a, account, _ := f.accounted(); len(a.Backends) != 0 || a.Breaks != 0 || len(account) != 1 ||
		!strings.Contains(account[0].Text, "the entry on west, which translates nothing, is destroyed") {
		t.Errorf("%+v, %v", a.Connection, account)
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
		for _, p := range a.packets {
			e.packets = append(e.packets, *p)
		}
		e.flows, e.connections = []flowFacts{a.flow}, 1
		packets, ix := e.followed(), e.index()
		// The loss of the entry is not among the packets.
		accounts := []*account{{Connection: Connection{ID: 1}, flow: a.flow, lastBreak: a.lastBreak}}
		for i := range packets {
			accounts[0].packets = append(accounts[0].packets, &packets[i])
		}
		judgeExternal(e, accounts)
		claims := tell(e, ix, accounts[0], accounts)
		found := false
		for _, s := range sentences(e, claims, e.timeline(ix, packets, nil, nil)) {
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

// TestPodNames: they stand in the order of their addresses, not of a map.
func TestPodNames(t *testing.T) {
	w := world{pods: map[netip.Addr]string{}}
	var want []string
	for i := range 20 {
		name := fmt.Sprint("pod-", i)
		w.pods[netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})] = name
		want = append(want, name)
	}
	for range 10 {
		if got := w.podNames(); !slices.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
	}
}
