package conntrack

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/probe/nlgroup"
	"github.com/ctsim/ctsim/topology"
)

var update = flag.Bool("update", false, "record testdata/*.txt from this kernel and conntrack command")

// plays are the stories whose events are compared with what `conntrack -E` prints of them, and recorded with -update.
var plays = []struct {
	name string
	play func(t *testing.T, ns *topology.Namespace)
}{
	{"article", playArticle},
	{"expiry", func(t *testing.T, ns *topology.Namespace) {
		c := connect(t, ns, serve(t, ns, backends[0]))
		check(t, Expire(ns, c.flow))
	}},
	{"close", playClose},
	{"accounting", func(t *testing.T, ns *topology.Namespace) {
		check(t, ns.SetSysctl("net.netfilter.nf_conntrack_acct", "1"))
		check(t, ns.SetSysctl("net.netfilter.nf_conntrack_timestamp", "1"))
		kerneltest.Output(t, ns, "iptables", "-w", "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--set-mark", "7")
		playArticle(t, ns)
	}},
	{"udp", playUDP},
	{"icmp", playPing},
	{"ipv6", func(t *testing.T, ns *topology.Namespace) {
		kerneltest.Output(t, ns, "ip6tables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
		fd := socket6(t, ns, unix.SOCK_DGRAM, 0)
		to := &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16(), Port: 2222}
		check(t, unix.Sendto(fd, []byte("0123456789"), 0, to))
		fd = socket6(t, ns, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
		check(t, unix.Sendto(fd, []byte{128, 0, 0, 0, 0x12, 0x34, 0, 1}, 0, &unix.SockaddrInet6{Addr: to.Addr}))
	}},
	{"protocols", func(t *testing.T, ns *topology.Namespace) {
		for _, protocol := range []int{unix.IPPROTO_IGMP, unix.IPPROTO_GRE, 253} {
			fd := socket(t, ns, unix.SOCK_RAW, protocol)
			to := &unix.SockaddrInet4{Addr: backends[0].Addr().As4()}
			check(t, unix.Sendto(fd, make([]byte, 16), 0, to))
		}
		_, err := Flush(ns)
		check(t, err)
	}},
}

func playArticle(t *testing.T, ns *topology.Namespace) {
	first := serve(t, ns, backends[0])
	serve(t, ns, backends[1])
	c := connect(t, ns, first)
	c.send(t)
	translateTo(t, ns, backends[1])
	_, err := Flush(ns)
	check(t, err)
	c.sendAndReset(t)
}

// playClose ends a connection from the client's side, then from the server's.
func playClose(t *testing.T, ns *topology.Namespace) {
	c := connect(t, ns, serve(t, ns, backends[0]))
	check(t, unix.Shutdown(c.client, unix.SHUT_WR))
	if n, err := unix.Read(c.server, make([]byte, 1)); n != 0 || err != nil {
		t.Fatalf("server read %d bytes: %v, want the end", n, err)
	}
	check(t, unix.Shutdown(c.server, unix.SHUT_WR))
	if n, err := unix.Read(c.client, make([]byte, 1)); n != 0 || err != nil {
		t.Fatalf("client read %d bytes: %v, want the end", n, err)
	}
	check(t, Expire(ns, c.flow))
}

func playUDP(t *testing.T, ns *topology.Namespace) {
	server := socket(t, ns, unix.SOCK_DGRAM, 0)
	check(t, unix.Bind(server, sockaddr(backends[0])))
	client := socket(t, ns, unix.SOCK_DGRAM, 0)
	check(t, unix.Sendto(client, []byte("0123456789"), 0, sockaddr(backends[0])))
	_, from, err := unix.Recvfrom(server, make([]byte, 10), 0)
	check(t, err)
	check(t, unix.Sendto(server, []byte("0123456789"), 0, from))
	_, err = Flush(ns)
	check(t, err)
}

func playPing(t *testing.T, ns *topology.Namespace) {
	fd := socket(t, ns, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	echo := []byte{8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1} // echo request, id 0x1234, sequence 1
	check(t, unix.Sendto(fd, echo, 0, &unix.SockaddrInet4{Addr: backends[0].Addr().As4()}))
	flow := Tuple{Protocol: ProtocolICMP, Src: netip.AddrPortFrom(clientAddr, 0),
		Dst: netip.AddrPortFrom(backends[0].Addr(), 0), ICMP: ICMP{Type: 8, ID: 0x1234}}
	check(t, Expire(ns, flow))
}

// The lines are those of the conntrack command, byte for byte, on the same events.
func TestKernelEventsLikeTheCommand(t *testing.T) {
	for _, p := range plays {
		t.Run(p.name, func(t *testing.T) {
			ns := newWorld(t)
			command := startCommand(t, ns)
			raw := openRecording(t, ns)
			p.play(t, ns)
			// The last event: when the command has printed it, it has printed all.
			end := Entry{Timeout: time.Hour, Original: NewTuple(ProtocolUDP,
				netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"))}
			check(t, Create(ns, end))
			want := command.linesUntil(t, "src=192.0.2.1")
			got := raw.until(t, end.Original)
			compareWithCommand(t, got, want)
			if *update && !t.Failed() {
				check(t, writeRecording(p.name, got, want))
			}
		})
	}
}

func compareWithCommand(t *testing.T, datagrams [][]byte, want []string) {
	t.Helper()
	if len(datagrams) != len(want) || len(want) == 0 {
		t.Fatalf("%d datagrams, %d lines of conntrack -E", len(datagrams), len(want))
	}
	for i, d := range datagrams {
		events, err := Decode(d)
		if err != nil || len(events) != 1 {
			t.Fatalf("%x: %v, %v", d, events, err)
		}
		compareLine(t, events[0], want[i])
	}
}

// The list is that of the conntrack command.
func TestKernelListLikeTheCommand(t *testing.T) {
	path := commandPath(t)
	for _, accounting := range []string{"0", "1"} {
		t.Run("accounting "+accounting, func(t *testing.T) {
			ns := newWorld(t)
			check(t, ns.SetSysctl("net.netfilter.nf_conntrack_acct", accounting))
			check(t, ns.SetSysctl("net.netfilter.nf_conntrack_timestamp", accounting))
			connect(t, ns, serve(t, ns, backends[0]))
			playUDPUnanswered(t, ns)
			compareLists(t, ns, path)
		})
	}
}

func compareLists(t *testing.T, ns *topology.Namespace, path string) {
	t.Helper()
	lines := func() string {
		entries, err := List(ns)
		check(t, err)
		var b strings.Builder
		for _, e := range entries {
			fmt.Fprintln(&b, e)
		}
		return b.String()
	}
	// Timeouts run: take the command's list between two equal ones of ours.
	for {
		before := lines()
		var out []byte
		check(t, ns.Do(func() (err error) {
			out, err = exec.Command(path, "-L").Output()
			return err
		}))
		if before != lines() {
			continue
		}
		if before != string(out) {
			t.Errorf("got\n%swant\n%s", before, out)
		}
		return
	}
}

func playUDPUnanswered(t *testing.T, ns *topology.Namespace) {
	client := socket(t, ns, unix.SOCK_DGRAM, 0)
	server := socket(t, ns, unix.SOCK_DGRAM, 0)
	check(t, unix.Bind(server, sockaddr(backends[0])))
	check(t, unix.Sendto(client, []byte("0123456789"), 0, sockaddr(backends[0])))
}

func socket6(t testing.TB, ns *topology.Namespace, kind, protocol int) int {
	t.Helper()
	fd := -1
	check(t, ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC, protocol)
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func commandPath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("conntrack")
	if err != nil {
		kerneltest.Cannot(t, "the conntrack command to compare with", err)
	}
	return path
}

// command is a running `conntrack -E`.
type command struct{ out *bufio.Reader }

func startCommand(t *testing.T, ns *topology.Namespace) command {
	t.Helper()
	cmd := exec.Command(commandPath(t), "-E")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, ns.Do(cmd.Start))
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitForSubscription(t, ns)
	return command{bufio.NewReader(out)}
}

// waitForSubscription returns when some netlink socket of the namespace is subscribed to conntrack events.
func waitForSubscription(t *testing.T, ns *topology.Namespace) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var text []byte
		check(t, ns.Do(func() (err error) {
			text, err = os.ReadFile("/proc/thread-self/net/netlink")
			return err
		}))
		for _, line := range strings.Split(string(text), "\n") {
			// sk, protocol, port id, groups …
			if f := strings.Fields(line); len(f) > 3 && f[1] == "12" && f[3] == "00000007" {
				return
			}
		}
	}
	t.Fatal("conntrack -E does not subscribe")
}

// linesUntil reads up to and without the line that holds end.
func (c command) linesUntil(t *testing.T, end string) []string {
	t.Helper()
	var lines []string
	for {
		line, err := c.out.ReadString('\n')
		check(t, err)
		if strings.Contains(line, end) {
			return lines
		}
		// The command looks the port id up among the processes of another namespace: what it finds there is chance.
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " progname=")
		lines = append(lines, line)
	}
}

// recording keeps the datagrams of the events.
type recording struct {
	group     *nlgroup.Listener
	datagrams [][]byte
}

func openRecording(t *testing.T, ns *topology.Namespace) *recording {
	t.Helper()
	r := &recording{}
	var err error
	r.group, err = nlgroup.Join(ns, eventGroups(listenBuffer), func(datagram []byte) error {
		r.datagrams = append(r.datagrams, slices.Clone(datagram))
		return nil
	})
	check(t, err)
	t.Cleanup(func() { _ = r.group.Close() })
	return r
}

// until gives the datagrams up to and without the event of the flow end, which has been sent already.
func (r *recording) until(t *testing.T, end Tuple) [][]byte {
	t.Helper()
	check(t, r.group.Close())
	for i, d := range r.datagrams {
		events, err := Decode(d)
		check(t, err)
		if len(events) == 1 && events[0].Original == end {
			return r.datagrams[:i]
		}
	}
	t.Fatal("the last event was not received")
	panic("not reached")
}

func writeRecording(name string, datagrams [][]byte, lines []string) error {
	var b strings.Builder
	for i, d := range datagrams {
		fmt.Fprintf(&b, "line %s\nbytes %s\n", lines[i], hex.EncodeToString(d))
	}
	return os.WriteFile(filepath.Join("testdata", name+".txt"), []byte(b.String()), 0o644)
}
