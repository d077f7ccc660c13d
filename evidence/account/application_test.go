package account

import (
	"strings"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// The cure comes from what the connection was lost to and what its sockets were set to; what does not help is not advised.
func TestAdvice(t *testing.T) {
	off := &SocketSettings{Process: "python3"}
	on := &SocketSettings{Process: "python3", KeepAlive: true, IdleS: 7200}
	given := &SocketSettings{Process: "python3", UserTimeoutS: 30}
	unknown := &SocketSettings{Process: "frobnicate"}
	flushed := func(f *facts) { f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 4711) }
	expired := func(f *facts) { f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 0) }
	killed := func(f *facts) { f.step(10, "kill-pod", "pod api-0 is gone") }
	large := func(f *facts) {
		f.seg(5, "api-0", packet.In, f.client, f.first, psh, 101, 10)
		for i := range 3 {
			f.seg(10+i, "web-1", packet.Out, f.client, f.service, psh, 111, 1400)
		}
	}
	tooBig := func(f *facts) { f.icmp(10, 4, packet.TCP) }
	const keepalive, idle, timeout, mtu = "SO_KEEPALIVE, 1", "TCP_KEEPIDLE", "TCP_USER_TIMEOUT", "MTU"
	for _, c := range []struct {
		name           string
		facts          func(*facts)
		outcome        Outcome
		client, server *SocketSettings
		is, not        []string
	}{
		{"flushed, keepalive off", flushed, Reset, off, nil, []string{keepalive, "make the client reconnect"}, []string{timeout, mtu}},
		{"flushed, keepalive on", flushed, Reset, on, off, []string{"Make the client reconnect: keepalive is on"}, []string{keepalive, idle, timeout, mtu}},
		{"flushed, and the program has reconnected", flushed, Reconnected, on, nil, nil, []string{keepalive, "reconnect", timeout}},
		{"flushed, a program that nobody knows", flushed, Reset, unknown, nil, []string{"frobnicate: set SO_KEEPALIVE"}, []string{timeout}},
		{"expired, keepalive on but too late", expired, Reset, on, nil, []string{"its first probe comes after 7200 s", idle}, []string{keepalive, timeout}},
		{"expired, keepalive off", expired, Reset, off, nil, []string{keepalive}, []string{timeout}},
		{"the pod is gone", killed, Hang, off, off, []string{timeout}, []string{"SO_KEEPALIVE", idle, mtu}},
		{"the pod is gone, and the program gives up by itself", killed, Timeout, given, nil, nil, []string{"SO_KEEPALIVE", timeout, idle}},
		{"a hang after a flush", flushed, Hang, off, nil, []string{timeout}, []string{"SO_KEEPALIVE", idle}},
		{"large packets are lost", large, Hang, off, off, []string{mtu}, []string{keepalive, idle, timeout, "reconnect"}},
		{"a router says that they are too large", tooBig, Hang, off, off, []string{mtu}, []string{keepalive, idle, timeout}},
		{"nothing was lost", func(*facts) {}, Survived, off, off, nil, []string{keepalive, timeout, mtu, "reconnect"}},
		{"an entry was lost and the connection goes on", flushed, Survived, off, off, nil, []string{keepalive, timeout, mtu, "reconnect"}},
		{"reset without a loss", func(*facts) {}, Reset, off, off, nil, []string{keepalive, timeout, mtu, "reconnect"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := otherFacts()
			f.established()
			c.facts(f)
			e := &f.Evidence
			accounts := AccountsOf(e, 1, f.Index(), f.Followed())
			accounts[0].Outcome, accounts[0].ClientSocket, accounts[0].ServerSocket = c.outcome, c.client, c.server
			got := Advice(e, accounts)
			for _, want := range c.is {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in:\n%s", want, got)
				}
			}
			for _, never := range c.not {
				if strings.Contains(got, never) && !(never == keepalive && strings.Contains(got, "keepalive is on")) {
					t.Errorf("%q is in:\n%s", never, got)
				}
			}
			if len(c.is) == 0 && got != "" {
				t.Errorf("advice where there is none to give:\n%s", got)
			}
		})
	}
	if Advice(&evidence.Evidence{}, nil) != "" {
		t.Error("advice to nobody")
	}
}

// Where nothing but a FIN was lost the side that still waits needs keepalive, and nothing else helps. What the other side
// had closed before is lost to no entry.
func TestAdviceOfTheEnd(t *testing.T) {
	client, server := &SocketSettings{Process: "bash"}, &SocketSettings{Process: "python3"}
	for _, c := range []struct {
		name    string
		fin     string
		outcome Outcome
		errno   string
		want    string
	}{
		{"the client's FIN", "client", Hang, "", server.keepAliveCure() + " (the server still waits: a probe that nobody answers ends that)"},
		{"the server's FIN", "server", Hang, "", client.keepAliveCure() + " (the client still waits: a probe that nobody answers ends that)"},
		{"closed by the server before", "", Reset, "EPIPE", ""},
	} {
		f := otherFacts()
		f.established()
		f.event(10, conntrack.Destroy, conntrack.TCPEstablished, f.first, 4711)
		accounts := AccountsOf(&f.Evidence, 1, f.Index(), f.Followed())
		a := accounts[0]
		a.Outcome, a.Errno, a.ClientSocket, a.ServerSocket, a.Balance = c.outcome, c.errno, client, server, Balance{{What: ItemFIN, Side: c.fin, Decides: c.fin != ""}}
		if got := Advice(&f.Evidence, accounts); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
