package conntrack

import (
	"net/netip"
	"testing"
	"time"
)

// The words that no recording has. The lines follow libnetfilter_conntrack 1.0.9.
func TestFormatRareWords(t *testing.T) {
	flow := NewTuple(ProtocolTCP, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2"))
	start := time.Unix(100, 900_000_000)
	for want, e := range map[string]Entry{
		"tcp      6 NONE src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1": {
			Original: flow, Reply: flow.Invert(), HasTCP: true, TCP: 77},
		"tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [OFFLOAD]": {
			Original: flow, Reply: flow.Invert(), HasStatus: true, Status: StatusSeenReply | StatusAssured | StatusOffload},
		"tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [HW_OFFLOAD]": {
			Original: flow, Reply: flow.Invert(), HasStatus: true, Status: StatusSeenReply | StatusOffload | StatusHWOffload},
		"tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 " +
			"secctx=x zone=3 delta-time=2 helper=ftp use=1": {
			Original: flow, Reply: flow.Invert(), SecurityContext: "x", Zone: 3, Helper: "ftp", Use: 1,
			Start: start, Seen: time.Unix(102, 100_000_000)},
		"sctp     132 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 delta-time=0": {
			Original: withProtocol(flow, ProtocolSCTP), Reply: withProtocol(flow.Invert(), ProtocolSCTP), Start: start},
		"dccp     33 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1": {
			Original: withProtocol(flow, ProtocolDCCP), Reply: withProtocol(flow.Invert(), ProtocolDCCP)},
		"udplite  136 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1": {
			Original: withProtocol(flow, ProtocolUDPLite), Reply: withProtocol(flow.Invert(), ProtocolUDPLite)},
	} {
		if got := e.String(); got != want {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
	}
}

func withProtocol(t Tuple, p uint8) Tuple {
	t.Protocol = p
	return t
}

func TestNewTupleUnmaps(t *testing.T) {
	mapped := netip.MustParseAddrPort("[::ffff:10.0.0.1]:1")
	plain := netip.MustParseAddrPort("10.0.0.1:1")
	if got, want := NewTuple(ProtocolTCP, mapped, mapped), NewTuple(ProtocolTCP, plain, plain); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestInvert(t *testing.T) {
	ping := Tuple{Protocol: ProtocolICMP, Src: netip.MustParseAddrPort("10.0.0.1:0"),
		Dst: netip.MustParseAddrPort("10.0.0.2:0"), ICMP: ICMP{Type: 8, ID: 5}}
	if got, want := ping.Invert().String(), "src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	unreachable := ping
	unreachable.ICMP.Type = 3 // has no answer
	for _, tuple := range []Tuple{ping, unreachable, withProtocol(ping, ProtocolTCP)} {
		if got := tuple.Invert().Invert(); got != tuple {
			t.Errorf("inverted twice: %v, want %v", got, tuple)
		}
	}
}
