package packet

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The first sequence numbers of the tests are near the end of the 32 bits, so that every test crosses it.
const (
	clientStart = 0xfffffff8
	serverStart = 0xfffffffc
)

// segment is a packet at a hop. Seq and ack count from the SYN, as the lines do.
func segment(at, src, dst string, flags TCPFlags, seq, ack uint32, payload int) Packet {
	p := Packet{
		At: at, Interface: "eth0", Protocol: TCP, Flags: flags, Payload: payload,
		Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Seq: clientStart + seq, Ack: serverStart + ack,
	}
	if src != client {
		p.Seq, p.Ack = serverStart+seq, clientStart+ack
	}
	return p
}

// follow gives the part of each line after the addresses.
func follow(packets ...Packet) []string {
	var f Flows
	var lines []string
	for _, p := range packets {
		_, line, _ := strings.Cut(f.Follow(p).String(), " [")
		lines = append(lines, p.At+" ["+strings.Replace(line, " win 0", "", 1))
	}
	return lines
}

const (
	server1 = "172.18.166.130:2222"
	server2 = "172.18.166.131:2222"
)

func TestFollow(t *testing.T) {
	handshake := []Packet{
		segment("client", client, service, SYN, 0, 0, 0),
		segment("server-1", client, server1, SYN, 0, 0, 0),
		segment("server-1", server1, client, SYN|ACK, 0, 1, 0),
		segment("client", service, client, SYN|ACK, 0, 1, 0),
		segment("client", client, service, ACK, 1, 1, 0),
		segment("server-1", client, server1, ACK, 1, 1, 0),
	}
	opened := []string{
		"client [S] seq 0 len 0", "server-1 [S] seq 0 len 0",
		"server-1 [S.] seq 0 ack 1 len 0", "client [S.] seq 0 ack 1 len 0",
		"client [.] seq 1 ack 1 len 0", "server-1 [.] seq 1 ack 1 len 0",
	}
	// A RST without ACK carries what the other side acknowledged, one with ACK and no connection carries 0.
	refusal := segment("client", service, client, RST|ACK, 0, 1, 0)
	refusal.Seq = 0
	for _, c := range []struct {
		name    string
		packets []Packet
		want    []string
	}{
		{"nothing but the handshake", nil, nil},
		{
			"sent to the wrong server in the middle",
			[]Packet{
				segment("client", client, service, PSH|ACK, 1, 1, 10),
				segment("server-2", client, server2, PSH|ACK, 1, 1, 10),
				segment("server-2", server2, client, RST, 1, 0, 0),
				segment("client", service, client, RST, 1, 0, 0),
			},
			[]string{
				"client [P.] seq 1:11 ack 1 len 10", "server-2 [P.] seq 1:11 ack 1 len 10",
				"server-2 [R] seq 1 len 0", "client [R] seq 1 len 0",
			},
		},
		{
			"late to the wrong server: the numbers are the connection's",
			[]Packet{
				segment("client", client, service, PSH|ACK, 1, 1, 10),
				segment("client", client, service, PSH|ACK, 11, 1, 10),
				segment("server-2", client, server2, PSH|ACK, 11, 1, 10),
			},
			[]string{
				"client [P.] seq 1:11 ack 1 len 10", "client [P.] seq 11:21 ack 1 len 10",
				"server-2 [P.] seq 11:21 ack 1 len 10",
			},
		},
		{
			"the server speaks first, through another server's address",
			[]Packet{segment("master", server1, client, PSH|ACK, 1, 1, 5)},
			[]string{"master [P.] seq 1:6 ack 1 len 5"},
		},
		{
			"repeats",
			[]Packet{
				segment("client", client, service, PSH|ACK, 1, 1, 10),
				segment("client", client, service, PSH|ACK, 1, 1, 10),
				segment("client", client, service, ACK, 10, 1, 0),
				segment("client", client, service, ACK, 11, 1, 0),
				segment("client", client, service, PSH|ACK, 1, 1, 20),
				segment("client", client, service, FIN|ACK, 21, 1, 0),
				segment("client", client, service, FIN|ACK, 21, 1, 0),
			},
			[]string{
				"client [P.] seq 1:11 ack 1 len 10", "client [P.] seq 1:11 ack 1 len 10 (retransmission)",
				"client [.] seq 10 ack 1 len 0 (keep-alive)", "client [.] seq 11 ack 1 len 0",
				"client [P.] seq 1:21 ack 1 len 20", "client [F.] seq 21 ack 1 len 0",
				"client [F.] seq 21 ack 1 len 0 (retransmission)",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := follow(append(append([]Packet{}, handshake...), c.packets...)...)
			if diff := cmp.Diff(append(append([]string{}, opened...), c.want...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("SYN without an answer, refused", func(t *testing.T) {
		got := follow(handshake[0], handshake[0], refusal)
		want := []string{
			"client [S] seq 0 len 0", "client [S] seq 0 len 0 (retransmission)", "client [R.] seq 0 ack 1 len 0",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Without any SYN the first byte seen is 1, in both directions.
func TestFollowMidStream(t *testing.T) {
	got := follow(
		segment("client", client, service, PSH|ACK, 500, 700, 10),
		segment("client", service, client, ACK, 700, 510, 0),
		segment("client", service, client, PSH|ACK, 700, 510, 4),
	)
	want := []string{"client [P.] seq 1:11 ack 1 len 10", "client [.] seq 1 ack 11 len 0", "client [P.] seq 1:5 ack 11 len 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The same ports are used again: the numbers start anew.
func TestFollowNewConnection(t *testing.T) {
	second := segment("client", client, service, SYN, 0, 0, 0)
	second.Seq += 123456
	data := segment("client", client, service, PSH|ACK, 1, 1, 10)
	data.Seq += 123456
	data.Ack += 654321
	answer := segment("client", service, client, SYN|ACK, 0, 1, 0)
	answer.Seq += 654321
	answer.Ack += 123456
	got := follow(
		segment("client", client, service, SYN, 0, 0, 0),
		segment("client", service, client, SYN|ACK, 0, 1, 0),
		segment("client", client, service, PSH|ACK, 1, 1, 10),
		second, answer, data,
	)
	want := []string{
		"client [S] seq 0 len 0", "client [S.] seq 0 ack 1 len 0", "client [P.] seq 1:11 ack 1 len 10",
		"client [S] seq 0 len 0", "client [S.] seq 0 ack 1 len 0", "client [P.] seq 1:11 ack 1 len 10",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Only TCP is followed.
func TestFollowOthers(t *testing.T) {
	p := Packet{Protocol: UDP, Src: netip.MustParseAddrPort(client), Dst: netip.MustParseAddrPort(service)}
	var f Flows
	if got := f.Follow(p); got.Relative.Known {
		t.Errorf("a datagram was followed: %+v", got.Relative)
	}
}
