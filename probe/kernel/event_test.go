package kernel

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"
)

func TestEventString(t *testing.T) {
	client, server := netip.MustParseAddrPort("172.18.219.65:54124"), netip.MustParseAddrPort("172.18.166.130:2222")
	tests := []struct {
		event Event
		want  string
	}{
		{
			Event{
				Kind: SendReset, State: "LISTEN", Reason: "TCP_FLAGS", Src: client, Dst: server, Packet: true,
				Stack: []string{"tcp_v4_send_reset", "tcp_v4_do_rcv", "tcp_v4_rcv", "ip_protocol_deliver_rcu"},
			},
			"tcp_send_reset state=LISTEN reason=TCP_FLAGS for 172.18.219.65:54124 > 172.18.166.130:2222" +
				"  tcp_v4_rcv → tcp_v4_do_rcv → tcp_v4_send_reset",
		},
		{
			Event{Kind: ErrorReport, State: "CLOSE", Errno: 104, Src: client, Dst: server},
			"inet_sk_error_report error=ECONNRESET state=CLOSE on 172.18.219.65:54124 > 172.18.166.130:2222",
		},
		{Event{Kind: ErrorReport, Errno: 5}, "inet_sk_error_report error=errno 5"},
		{Event{Kind: Drop, Reason: "NETFILTER_DROP"}, "kfree_skb reason=NETFILTER_DROP"},
		{Event{Kind: ReceiveReset}, "tcp_receive_reset"},
		{Event{}, ""},
	}
	for _, test := range tests {
		if got := test.event.String(); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

func TestFunctions(t *testing.T) {
	tests := []struct {
		name  string
		stack []string // innermost first
		want  []string // outermost first
	}{
		{"no stack", nil, nil},
		{"a packet's way through IP is left out",
			[]string{"tcp_reset", "tcp_validate_incoming", "tcp_rcv_established", "tcp_v4_do_rcv", "tcp_v4_rcv",
				"ip_protocol_deliver_rcu", "ip_local_deliver_finish", "tcp_sendmsg"},
			[]string{"tcp_v4_rcv", "tcp_v4_do_rcv", "tcp_rcv_established", "tcp_validate_incoming", "tcp_reset"}},
		{"who frees the packet is left out",
			[]string{"sk_skb_reason_drop", "nf_hook_slow", "ip_forward", "ip_rcv", "__netif_receive_skb_one_core"},
			[]string{"ip_rcv", "ip_forward", "nf_hook_slow"}},
		{"before Linux 6.11",
			[]string{"kfree_skb_reason", "tcp_drop_reason", "tcp_data_queue", "tcp_rcv_established", "tcp_v4_do_rcv",
				"__release_sock"},
			[]string{"tcp_v4_do_rcv", "tcp_rcv_established", "tcp_data_queue"}},
		{"a compiler's suffix is left out",
			[]string{"tcp_v4_send_reset.isra.0", "tcp_v4_rcv.part.3"}, []string{"tcp_v4_rcv", "tcp_v4_send_reset"}},
		{"a function of no layer stands alone", []string{"veth_xmit", "dev_hard_start_xmit"}, []string{"veth_xmit"}},
		{"only the freeing", []string{"kfree_skb_list_reason"}, nil},
		{"not endless", slices.Repeat([]string{"ip_rcv"}, 20), slices.Repeat([]string{"ip_rcv"}, maxFunctions)},
	}
	for _, test := range tests {
		if got := (Event{Stack: test.stack}).Functions(); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestTrimProbe(t *testing.T) {
	stack := []string{"bpf_prog_86a2b6b0c9f4ee7b_send_reset", "bpf_trace_run3", "__bpf_trace_tcp_send_reset",
		"__traceiter_tcp_send_reset", "tcp_v4_send_reset", "bpf_later"}
	if got, want := trimProbe(stack), []string{"tcp_v4_send_reset", "bpf_later"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestKindString(t *testing.T) {
	for kind, want := range map[Kind]string{
		SendReset: "tcp:tcp_send_reset", ReceiveReset: "tcp:tcp_receive_reset", ErrorReport: "sock:inet_sk_error_report",
		Drop: "skb:kfree_skb", 0: "unknown", Drop + 1: "unknown",
	} {
		if got := kind.String(); got != want {
			t.Errorf("kind %d: got %q, want %q", kind, got, want)
		}
	}
}

func TestStateName(t *testing.T) {
	for state, want := range map[uint8]string{0: "", 1: "ESTABLISHED", 10: "LISTEN", 99: "STATE-99"} {
		if got := stateName(state); got != want {
			t.Errorf("state %d: got %q, want %q", state, got, want)
		}
	}
}

func TestSilentBits(t *testing.T) {
	got := silentBits(map[string]uint64{
		"SKB_CONSUMED": 1, "SKB_DROP_REASON_NETFILTER_DROP": 12, "SKB_DROP_REASON_TCP_OFOMERGE": 65,
		"SKB_DROP_REASON_QUEUE_PURGE": 1 << 16,
	})
	if want := [4]uint64{1 << 1, 1 << 1}; got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestReasonName(t *testing.T) {
	names := map[uint32]string{6: "TCP_FLAGS"}
	for reason, want := range map[uint32]string{6: "TCP_FLAGS", 0x20001: "0x20001"} {
		if got := reasonName(names, reason); got != want {
			t.Errorf("reason %d: got %q, want %q", reason, got, want)
		}
	}
}

func TestUnavailable(t *testing.T) {
	var err error = &Unavailable{What: "BPF", Err: syscall.ENOSYS}
	if err.Error() != "the kernel's own trace needs BPF" || !errors.Is(err, syscall.ENOSYS) {
		t.Errorf("got %v", err)
	}
}
