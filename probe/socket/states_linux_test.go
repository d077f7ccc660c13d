package socket

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/probe/nlmsg"
	"github.com/ctsim/ctsim/topology"
)

var update = flag.Bool("update", false, "write testdata anew from what this kernel, ss and netstat say")

// everyState makes a socket in each state and with each timer that a test can hold still.
func everyState(t testing.TB, ns *topology.Namespace, r *Reader) {
	t.Helper()
	listener, addr := serve(t, ns, "127.0.0.2:2222")
	is := func(state State, timer TimerKind) func(Socket) bool {
		return func(s Socket) bool { return s.State == state && s.Timer.Kind == timer }
	}
	connect(t, ns, listener, addr) // idle

	alive := connect(t, ns, listener, addr)
	check(t, unix.SetsockoptInt(alive.client, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 4000))
	check(t, unix.SetsockoptInt(alive.client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))

	full := connect(t, ns, listener, addr)
	check(t, unix.SetNonblock(full.client, true))
	for err := error(nil); err == nil; {
		_, err = unix.Write(full.client, make([]byte, 64<<10))
	}
	waitFor(t, r, full.from, full.to, is(Established, Probe))

	halfClosed := connect(t, ns, listener, addr)
	check(t, unix.Shutdown(halfClosed.client, unix.SHUT_WR))
	waitFor(t, r, halfClosed.from, halfClosed.to, is(FinWait2, Off))
	waitFor(t, r, halfClosed.to, halfClosed.from, is(CloseWait, Off))

	closed := connect(t, ns, listener, addr)
	check(t, unix.Shutdown(closed.client, unix.SHUT_WR))
	check(t, unix.Shutdown(closed.server, unix.SHUT_WR))
	waitFor(t, r, closed.from, closed.to, is(TimeWait, TimeWaiting))

	waiting := newSocket(t, ns, unix.AF_INET)
	check(t, unix.Connect(waiting, sockaddr(addr))) // nobody accepts it

	lost := newSocket(t, ns, unix.AF_INET)
	check(t, unix.SetNonblock(lost, true))
	nobody := netip.MustParseAddrPort("10.9.0.2:2222")
	if err := unix.Connect(lost, sockaddr(nobody)); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	waitFor(t, r, localAddr(t, lost), nobody, is(SynSent, Retransmit))

	listener6, addr6 := serve(t, ns, "[::1]:2222")
	connect(t, ns, listener6, addr6)
}

// ssLines runs `ss -tano`.
func ssLines(t testing.TB, ns *topology.Namespace) (lines []string) {
	t.Helper()
	for l := range strings.Lines(kerneltest.Output(t, ns, "ss", "-H", "-tano")) {
		lines = append(lines, maskTime(strings.Join(strings.Fields(l), " ")))
	}
	return lines
}

// netstatLines runs `netstat -tan --timers`, whose first two lines are headings.
func netstatLines(t testing.TB, ns *topology.Namespace) (lines []string) {
	t.Helper()
	for l := range strings.Lines(kerneltest.Output(t, ns, "netstat", "-tan", "--timers")) {
		lines = append(lines, maskTime(strings.TrimRight(l, "\n")))
	}
	return lines[2:]
}

// TestKernelListIsWhatSSPrints looks before and after ss and netstat: each of their lines must be in one of those looks.
func TestKernelListIsWhatSSPrints(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns)
	everyState(t, ns, r)
	var ours, oursNetstat [3][]string
	look := func(i int) {
		sockets, err := List(ns)
		check(t, err)
		for _, s := range sockets {
			ours[i] = append(ours[i], maskTime(s.SS()))
			oursNetstat[i] = append(oursNetstat[i], maskTime(s.String()))
		}
	}
	look(0)
	ss := ssLines(t, ns)
	look(1)
	compareLines(t, "ss", ss, ours)
	if hasNetstat(t) {
		netstat := netstatLines(t, ns)
		look(2)
		compareLines(t, "netstat", netstat, oursNetstat)
	}
}

func compareLines(t *testing.T, command string, theirs []string, ours [3][]string) {
	t.Helper()
	all := slices.Concat(ours[:]...)
	if len(theirs) != len(ours[0]) {
		t.Errorf("%s has %d sockets, we have %d", command, len(theirs), len(ours[0]))
	}
	for _, line := range theirs {
		if !slices.Contains(all, line) {
			t.Errorf("%s has\n%s\nwe have\n%s", command, line, strings.Join(ours[0], "\n"))
		}
	}
}

// TestKernelRecording makes testdata/states.txt with -update: the kernel's message about each socket, with ss's and
// netstat's line about it. See TestReplay.
func TestKernelRecording(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	ns := newNamespace(t)
	r := open(t, ns)
	everyState(t, ns, r)
	messages := dump(t, r)
	ss, netstat := ssLines(t, ns), netstatLines(t, ns)
	var out strings.Builder
	for _, m := range messages {
		sockets, _, err := decode(nil, m)
		check(t, err)
		line := func(lines []string, want string) string {
			i := slices.Index(lines, want)
			if i < 0 {
				t.Fatalf("no line %q in\n%s", want, strings.Join(lines, "\n"))
			}
			return lines[i]
		}
		fmt.Fprintf(&out, "ss %s\n", line(ss, maskTime(sockets[0].SS())))
		fmt.Fprintf(&out, "netstat %s\n", line(netstat, maskTime(sockets[0].String())))
		fmt.Fprintf(&out, "bytes %s\n", hex.EncodeToString(m))
	}
	check(t, os.MkdirAll("testdata", 0o755))
	check(t, os.WriteFile("testdata/states.txt", []byte(out.String()), 0o644))
}

// dump gives the messages of a dump, one by one, as the kernel sent them.
func dump(t testing.TB, r *Reader) (messages [][]byte) {
	t.Helper()
	check(t, unix.Sendto(r.fd, dumpRequest(0), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	for done := false; !done; {
		n, _, err := unix.Recvfrom(r.fd, r.buf, 0)
		check(t, err)
		for b := bytes.Clone(r.buf[:n]); len(b) > 0 && !done; {
			length := int(binary.NativeEndian.Uint32(b))
			if done = binary.NativeEndian.Uint16(b[4:]) == nlmsg.Done; !done {
				messages = append(messages, b[:length:length])
			}
			b = b[nlmsg.Align(length):]
		}
	}
	return messages
}
