package socket

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// TestKernelListProc: /proc tells the same of the same sockets.
func TestKernelListProc(t *testing.T) {
	ns := newNamespace(t)
	for _, at := range []string{"127.0.0.2:2222", "[::1]:2222"} {
		listener, addr := serve(t, ns, at)
		c := connect(t, ns, listener, addr)
		check(t, unix.SetsockoptInt(c.client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
		if _, err := unix.Write(c.client, []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		waitFor(t, open(t, ns), c.from, c.to, func(s Socket) bool { return s.Timer.Kind == Keepalive })
	}
	diag, err := List(ns)
	check(t, err)
	proc, err := ListProc(ns)
	check(t, err)
	for _, sockets := range [][]Socket{diag, proc} {
		slices.SortFunc(sockets, func(a, b Socket) int { return int(a.Inode) - int(b.Inode) })
		for i := range sockets {
			if sockets[i].State == Listening {
				sockets[i].SendQueue = 0 // /proc does not tell it
			}
		}
	}
	// The time left passes between the two; it is compared below.
	ignore := cmpopts.IgnoreFields(Socket{}, "Info", "Cookie", "Timer.Expires")
	if diff := cmp.Diff(diag, proc, ignore, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("-sock_diag +/proc:\n%s", diff)
	}
	for i := range min(len(diag), len(proc)) {
		if d := diag[i].Timer.Expires - proc[i].Timer.Expires; d < -10e6 || d > 10e9 {
			t.Errorf("%s: %s by sock_diag, %s by /proc", diag[i], diag[i].Timer.Expires, proc[i].Timer.Expires)
		}
	}
}
