package replay

import (
	"context"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
)

// told are scenarios whose accounts have something to tell that others have not: what must be told, in this order, and
// what must not.
var told = []struct {
	scenario string
	is, not  []string
}{
	{`{name: first-packet, title: the first packet meets no rule, world: {backends: 1, service: {protocol: UDP}},
		steps: [{remove-endpoints: all}, {exec: {in: master, command: [iptables, -F, KUBE-SERVICES]}}, connect, send, add-endpoints, {delete-entry: 1}, send],
		expect: {outcome: survived}}`,
		[]string{"step: remove all endpoints", "step: run in master: iptables -F KUBE-SERVICES", "meets no rule on master that translates it",
			"step: make every live server pod an endpoint", "the entry on master is destroyed: deleted by ctsim",
			"the next packet finds no entry, and now a rule translates it: to server-1", "1 message never arrived"},
		[]string{"at its first packet"}},
	{`{name: keepalive-gives-up, title: keepalive gives up on a dead pod, world: {backends: 1, client: {keepalive: {idle: 1s, interval: 1s, count: 2}}},
		steps: [connect, send, {kill-pod: server-1}, {wait: {until: client-closed, at_most: 30s}}, send], expect: {outcome: timeout}}`,
		[]string{"step: pod server-1 is gone", "begins to send keepalive probes, 2 in all", "what goes to server-1 (172.18.166.130:2222), which is gone, gets as far as node1",
			"keepalive of client has had no answer", "its kernel sends RST", "the RST is last seen at", "this one gets ETIMEDOUT"},
		[]string{"answers RST", "no longer has", "has no such connection", "do not know yet"}},
	{`{name: half-closed-server, title: a server in CLOSE_WAIT answers after the flush, world: {backends: 1},
		steps: [connect, send, {shutdown: client}, flush, {send: {from: server}}], expect: {outcome: reset}}`,
		[]string{"step: the client ends its stream (FIN)", "the entry on master is destroyed: flushed by ctsim", "finds no entry on master, and no rule translates it",
			"client has no such connection and answers RST", "the RST reaches server-1"}, []string{"translated on its way"}},
	{`{name: udp-dead-pod, title: a UDP client goes on sending to a dead pod, world: {backends: 1, service: {protocol: UDP}},
		steps: [{connect: {port: 40000}}, send, {kill-pod: server-1}, send, send, send], expect: {outcome: hang}}`,
		[]string{"at its first packet", "step: pod server-1 is gone", "what goes to server-1 (172.18.166.130:2222), which is gone, gets as far as node1 (3 packets)",
			"3 messages never arrived"}, []string{"soft error"}},
	{`{name: client-closes, title: the client closes after the flush, world: {backends: 1},
		steps: [connect, send, flush, {close: client}, {wait: 1s}], expect: {outcome: hang}}`,
		[]string{"flushed by ctsim", "step: the client closes its socket", "[F.], which has no entry there any more and begins none, so that it is INVALID",
			"has had no acknowledgement and sends again"}, []string{"answers RST"}},
	{`{name: server-closes, title: the server closes after the flush, world: {backends: 1},
		steps: [connect, send, flush, {close: server}, {wait: 1s}], expect: {outcome: hang}}`,
		[]string{"flushed by ctsim", "step: the server closes its socket", "[F.], which has no entry there any more and begins none, so that it is INVALID",
			"the kernel of server-1 has had no acknowledgement and sends again"}, []string{"answers RST"}},
	{`{name: shutdown, title: the client ends its stream after the flush, world: {backends: 1},
		steps: [connect, send, flush, {shutdown: client}, {wait: 1s}], expect: {outcome: hang}}`,
		[]string{"flushed by ctsim", "step: the client ends its stream (FIN)", "so that it is INVALID", "is still ESTABLISHED: it was not told"}, []string{"answers RST"}},
	{`{name: close-unread, title: the client closes with data unread, world: {backends: 1},
		steps: [connect, send, {send: {from: server}}, {close: client}, {wait: 200ms}], expect: {outcome: reset}}`,
		[]string{"step: the client closes its socket", "the program in client closes its socket with", "unread: its kernel sends RST",
			"the RST reaches server-1 as", "translated on its way"}, []string{"answers RST", "un-translated", "SO_LINGER"}},
	{`{name: data-after-close, title: data for a client that has closed, world: {backends: 1},
		steps: [connect, send, {close: client}, {send: {from: server}}, {wait: 200ms}], expect: {outcome: reset}}`,
		[]string{"step: the client closes its socket", "data arrives after the program in client has closed its socket", "answers RST"},
		[]string{"its kernel sends RST", "un-translated", "has no such connection"}},
	{`{name: inject-rst, title: a RST of ctsim's own, world: {backends: 1},
		steps: [connect, send, {inject: {flag: RST}}, send], expect: {outcome: reset}}`,
		[]string{"step: the server's pod sends a stray RST", "ctsim's own step sends a RST from server-1", "the RST reaches client as"},
		[]string{"answers RST", "no longer has"}},
	{`{name: reject, title: a rule of the node answers with a RST, world: {backends: 1},
		steps: [connect, send, {exec: {in: master, command: [iptables, -I, FORWARD, -p, tcp, --dport, "2222", -j, REJECT, --reject-with, tcp-reset]}}, send],
		expect: {outcome: hang}}`,
		[]string{"step: run in master: iptables -I FORWARD", "master rejects", "the RST of master's rule reaches client", "no pod has sent it"},
		[]string{"answers RST"}},
	{`{name: max-retrans, title: an entry expires early, world: {backends: 1, sysctls: {nodes: {net.netfilter.nf_conntrack_tcp_timeout_max_retrans: "1"}}},
		steps: [connect, send, {kill-pod: server-1}, send, {wait: 6s}], expect: {outcome: hang}}`,
		[]string{"step: pod server-1 is gone", "the entry on master is destroyed: expired", "not after the 86400 s that it had", "max_retrans",
			"the client's socket is still ESTABLISHED, and no server has one that is"}, nil},
	{`{name: host-unreachable, title: the node says that a pod is gone, world: {backends: 1},
		steps: [connect, send, {kill-pod: server-1}, send, {wait: 5s}], expect: {outcome: hang}}`,
		[]string{"step: pod server-1 is gone", "gets as far as node1", "node1 tells client by ICMP: host unreachable", "a soft error",
			"the client's socket is still ESTABLISHED, and no server has one that is"}, []string{"gets EHOSTUNREACH", "max_retrans"}},
}

// The accounts of real runs tell what was done and why it came to what it did, whoever watches.
func TestKernelAccounts(t *testing.T) {
	needKernel(t)
	for _, c := range told {
		library, err := scenario.Parse("told.yaml", []byte("scenarios:\n  - "+strings.ReplaceAll(c.scenario, "\t", " ")))
		if err != nil {
			t.Fatal(err)
		}
		s := library.Scenarios[0]
		for how, watch := range map[string][]evidence.Source{"all": nil,
			"without the kernel's word": {evidence.FromConntrack, evidence.FromPackets, evidence.FromRules, evidence.FromSockets}} {
			t.Run(s.Name+"/"+how, func(t *testing.T) {
				t.Parallel()
				r := replayed(context.Background(), t, s, Options{Watch: watch})
				if err := resulttest.Resting(r); err != nil {
					t.Error(err)
				}
				text := strings.Join(r.Cause, "\n")
				rest := text
				for _, want := range c.is {
					_, after, found := strings.Cut(rest, want)
					if !found {
						t.Errorf("%q is not told, or not in its place, in:\n%s", want, text)
						continue
					}
					rest = after
				}
				for _, never := range c.not {
					if strings.Contains(text, never) {
						t.Errorf("%q is told in:\n%s", never, text)
					}
				}
			})
		}
	}
}
