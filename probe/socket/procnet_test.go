package socket

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// procLines were read on a little-endian machine, the byte order of the addresses in them.
const procLines = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:08AE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1060 1 00000000471f65a7 100 0 0 10 0
   1: 020200C0:8172 507100CB:01BB 01 00000000:0000000A 02:00000D6A 00000000  1000        1 4711 3 00000000f66e968a 20 4 30 10 -1
   2: 020200C0:8173 507100CB:01BB 01 0000000A:00000000 01:00000502 00000006  1000        0 4712 3 00000000f66e968a 20 4 30 10 -1
`

const proc6Lines = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:08AE 0000000000000000FFFF00000200007F:A001 01 00000000:00000000 00:00000000 00000000 65534        0 17 1 0 20 0 0 10 -1
`

func TestParseProc(t *testing.T) {
	got, err := ParseProc(strings.NewReader(procLines))
	if err != nil {
		t.Fatal(err)
	}
	got6, err := ParseProc(strings.NewReader(proc6Lines))
	if err != nil {
		t.Fatal(err)
	}
	want := []Socket{
		{Local: addr("127.0.0.1:2222"), Remote: addr("0.0.0.0:0"), State: Listening, Inode: 1060},
		{Local: addr("192.0.2.2:33138"), Remote: addr("203.0.113.80:443"), State: Established, UID: 1000, Inode: 4711,
			RecvQueue: 10, Timer: Timer{Kind: Keepalive, Expires: 34340 * time.Millisecond, Probes: 1}},
		{Local: addr("192.0.2.2:33139"), Remote: addr("203.0.113.80:443"), State: Established, UID: 1000, Inode: 4712,
			SendQueue: 10, Timer: Timer{Kind: Retransmit, Expires: 12820 * time.Millisecond, Retransmits: 6}},
		{Local: addr("[::ffff:127.0.0.1]:2222"), Remote: addr("[::ffff:127.0.0.2]:40961"), State: Established, UID: 65534, Inode: 17},
	}
	if diff := cmp.Diff(want, append(got, got6...), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestParseProcMalformed(t *testing.T) {
	good := strings.Split(procLines, "\n")[2]
	for _, c := range []struct{ from, to string }{
		{"020200C0:8172", "020200C:8172"}, {"020200C0:8172", "020200C0"}, {"020200C0:8172", "020200C0020200C0:8172"},
		{" 01 ", " xx "}, {"0000000A", ""}, {"02:00000D6A", "02"}, {" 4711 3 00000000f66e968a 20 4 30 10 -1", ""}, {"4711", "-1"},
	} {
		line := strings.Replace(good, c.from, c.to, 1)
		if s, err := ParseProc(strings.NewReader("heading\n" + line + "\n")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", line, s, err)
		}
	}
	if s, err := ParseProc(strings.NewReader("")); len(s) != 0 || err != nil {
		t.Errorf("nothing: %v, %v", s, err)
	}
}

// FuzzParseProc: whatever stands in /proc/net/tcp, there are sockets or an error, and every socket can be shown.
func FuzzParseProc(f *testing.F) {
	f.Add(procLines)
	f.Add(proc6Lines)
	f.Fuzz(func(t *testing.T, text string) {
		sockets, err := ParseProc(strings.NewReader(text))
		if err != nil && len(sockets) > 0 {
			t.Errorf("%d sockets and %v", len(sockets), err)
		}
		for _, s := range sockets {
			if s.SS() == "" || s.String() == "" || !s.Local.Addr().IsValid() {
				t.Errorf("%+v", s)
			}
		}
	})
}
