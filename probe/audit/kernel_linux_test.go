package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

// The world of the kernel tests:
//
//	client 172.18.219.65 ── master (DNAT) ══ node1 ── server 172.18.166.130
//	                          service 10.108.33.37:2222
func newWorld(t testing.TB) *topology.Lab {
	t.Helper()
	plan := topology.Plan{
		Network: netip.MustParsePrefix("192.168.122.0/24"),
		Nodes: []topology.Node{
			{Name: "master", Address: netip.MustParseAddr("192.168.122.20"), PodCIDR: netip.MustParsePrefix("172.18.219.0/24"),
				Pods: []topology.Pod{{Name: "client", Address: netip.MustParseAddr("172.18.219.65")}}},
			{Name: "node1", Address: netip.MustParseAddr("192.168.122.21"), PodCIDR: netip.MustParsePrefix("172.18.166.0/24"),
				Pods: []topology.Pod{{Name: "server", Address: netip.MustParseAddr("172.18.166.130")}}},
		},
	}
	lab, err := topology.Up(context.Background(), plan)
	if err != nil {
		if os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" {
			t.Fatalf("CTSIM_REQUIRE_KERNEL=1: %v", err)
		}
		t.Skipf("needs root or a user namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	kerneltest.Output(t, lab.Namespace("master"), "iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-d", "10.108.33.37", "-p", "tcp",
		"--dport", "2222", "-j", "DNAT", "--to-destination", "172.18.166.130:2222")
	return lab
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSocket(t testing.TB, ns *topology.Namespace, family int) int {
	t.Helper()
	fd := -1
	check(t, ns.Do(func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// serve listens on an address; connections need not be accepted to be established.
func serve(t testing.TB, ns *topology.Namespace, at string) {
	t.Helper()
	addr, family := netip.MustParseAddrPort(at), unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd := newSocket(t, ns, family)
	check(t, unix.Bind(fd, sockaddr(addr)))
	check(t, unix.Listen(fd, 65535))
}

// connect gives the client's port. Keepalive is off if idle is 0.
func connect(t testing.TB, ns *topology.Namespace, to string, idle int) (port uint16) {
	t.Helper()
	addr, family := netip.MustParseAddrPort(to), unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd := newSocket(t, ns, family)
	if idle > 0 {
		check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
		check(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle))
	}
	check(t, unix.Connect(fd, sockaddr(addr)))
	name, err := unix.Getsockname(fd)
	check(t, err)
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		return uint16(n.Port)
	case *unix.SockaddrInet6:
		return uint16(n.Port)
	}
	t.Fatalf("address %T", name)
	return 0
}

// path is where a namespace of the test can be opened by anybody who may look into the test.
func path(ns *topology.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd()) }

func open(t testing.TB, target Target, filter Filter) *Auditor {
	t.Helper()
	a, err := Open(target, filter)
	check(t, err)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// eventually looks until the connection from a port is judged as wanted.
func eventually(t testing.TB, a *Auditor, port uint16, want Reason) Connection {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := a.Look()
		check(t, err)
		for _, c := range r.Namespaces[0].Connections {
			if c.Local.Port() != port {
				continue
			}
			if c.Reason == want {
				return c
			}
			if time.Now().After(deadline) {
				t.Fatalf("port %d: %s, want %s: %s\n%+v", port, c.Reason, want, c.Why, r)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("port %d is not there: %+v", port, r)
		}
	}
}

// TestKernelAuditPod: a pod's connections are judged by the entries of its node.
func TestKernelAuditPod(t *testing.T) {
	lab := newWorld(t)
	pod, master := lab.Namespace("client"), lab.Namespace("master")
	serve(t, master, "127.0.0.1:1") // hooks are told with the first socket
	check(t, master.SetSysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "300"))
	serve(t, lab.Namespace("server"), "172.18.166.130:2222")
	never := connect(t, pod, "10.108.33.37:2222", 0)
	late := connect(t, pod, "10.108.33.37:2222", 600)
	inTime := connect(t, pod, "10.108.33.37:2222", 60)
	a := open(t, Target{Namespace: path(pod), Node: path(master)}, Filter{})
	r, err := a.Look()
	check(t, err)
	if n := r.Namespaces[0]; len(r.Namespaces) != 1 || n.Inode != pod.Inode() || n.Current || len(n.Connections) != 3 || n.KeepaliveTimeS != 7200 {
		t.Fatalf("%+v", r)
	}
	root := a.kernel != nil // not in a user namespace
	for port, want := range map[uint16]Reason{never: NoKeepalive, late: ProbeTooLate, inTime: ProbeInTime} {
		if port == inTime && !root {
			want = ProbeUncertain
		}
		c := eventually(t, a, port, want)
		if c.Process == nil || c.Process.PID != os.Getpid() || len(c.Entries) == 0 {
			t.Fatalf("%+v", c)
		}
		if e := c.Entries[0]; e.Backend != "172.18.166.130:2222" || e.Table != path(master) || *e.LeftS > 300 || *e.LeftS < 1 {
			t.Errorf("%+v", e)
		}
		if root && (c.Keepalive.On == nil || *c.Keepalive.On != (port != never)) {
			t.Errorf("%+v", c.Keepalive)
		}
	}
	kerneltest.Output(t, master, "conntrack", "-F")
	if root {
		eventually(t, a, never, EntryMissing)
	} else {
		eventually(t, a, never, EntryNotSeen)
	}
}

// TestKernelAuditExpired: an entry that has expired is missed, and looking for it changes nothing.
func TestKernelAuditExpired(t *testing.T) {
	lab := newWorld(t)
	ns := lab.Namespace("master")
	kerneltest.Output(t, ns, "iptables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
	serve(t, ns, "127.0.0.2:2222")
	serve(t, ns, "[::]:2223")
	kept := connect(t, ns, "127.0.0.2:2222", 0)
	mapped := connect(t, ns, "127.0.0.1:2223", 0)
	a := open(t, Target{Namespace: path(ns)}, Filter{})
	eventually(t, a, kept, NoKeepalive)
	eventually(t, a, mapped, NoKeepalive)
	check(t, ns.SetSysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "1"))
	gone := connect(t, ns, "127.0.0.2:2222", 0)
	if c := eventually(t, a, gone, EntryGone); c.LeftS != nil || len(c.Entries) != 0 {
		t.Errorf("%+v", c)
	}
	eventually(t, a, kept, NoKeepalive)
}

// TestKernelAuditAll: every namespace is found once, by whatever leads to it.
func TestKernelAuditAll(t *testing.T) {
	lab := newWorld(t)
	a := open(t, Target{All: true}, Filter{})
	r, err := a.Look()
	check(t, err)
	found := map[uint64]int{}
	for _, n := range r.Namespaces {
		found[n.Inode]++
	}
	for _, name := range lab.Names() {
		if got := found[lab.Namespace(name).Inode()]; got != 1 {
			t.Errorf("%s was found %d times", name, got)
		}
	}
	if !r.Namespaces[0].Current || found[a.current.Inode()] != 1 {
		t.Errorf("the current namespace is not the first: %+v", r.Namespaces[0])
	}
}

// TestKernelAuditProcess: of one process there are its own sockets only, and none once it has ended.
func TestKernelAuditProcess(t *testing.T) {
	lab := newWorld(t)
	ns := lab.Namespace("master")
	serve(t, ns, "127.0.0.2:2222")
	connect(t, ns, "127.0.0.2:2222", 0)
	sleep := exec.Command("sleep", "1000")
	check(t, ns.Do(sleep.Start))
	defer func() { _, _ = sleep.Process.Kill(), sleep.Wait() }()
	a := open(t, Target{PID: sleep.Process.Pid}, Filter{})
	r, err := a.Look()
	check(t, err)
	if n := r.Namespaces[0]; n.Inode != ns.Inode() || len(n.Connections) != 0 || len(n.Problems) != 0 {
		t.Errorf("%+v", n)
	}
	check(t, sleep.Process.Kill())
	_ = sleep.Wait()
	r, err = a.Look()
	check(t, err)
	if n := r.Namespaces[0]; n.Inode != ns.Inode() || len(n.Problems) != 1 || !strings.Contains(n.Problems[0], "has ended") {
		t.Errorf("%+v", n)
	}
	var target *TargetError
	if _, err := Open(Target{PID: sleep.Process.Pid}, Filter{}); !errors.As(err, &target) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestKernelModulesStay: no look loads a module, where the kernel has any.
func TestKernelModulesStay(t *testing.T) {
	lab := newWorld(t) // loads those of the rules
	before, err := os.ReadFile("/proc/modules")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("a kernel without modules")
	}
	check(t, err)
	_, err = open(t, Target{Namespace: path(lab.Namespace("master"))}, Filter{}).Look()
	check(t, err)
	after, err := os.ReadFile("/proc/modules")
	check(t, err)
	if names(string(before)) != names(string(after)) {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// TestAbsent: only what is known not to be there is absent. Without a table of a module that is loaded nothing is ok.
func TestAbsent(t *testing.T) {
	if _, err := os.ReadFile("/proc/kallsyms"); err != nil {
		t.Skip(err)
	}
	if m := (module{name: "no_such_module", function: "no_such_function"}); !m.absent() {
		t.Error("what does not exist is not absent")
	}
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_count"); err == nil && tracking.absent() {
		t.Error("connection tracking is here, and is taken to be absent")
	}
}

func names(modules string) (all string) {
	for line := range strings.Lines(modules) {
		name, _, _ := strings.Cut(line, " ")
		all += name + " "
	}
	return all
}

// BenchmarkKernelAudit looks at a namespace with 20,001 sockets, all of them tracked, of which half belong to this process.
// The others were never accepted and so need no descriptor.
func BenchmarkKernelAudit(b *testing.B) {
	const connections = 10_000
	limit := unix.Rlimit{Cur: 2 * connections, Max: 2 * connections}
	check(b, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	ns := newWorld(b).Namespace("master")
	check(b, ns.SetSysctl("net.core.somaxconn", "65535"))
	kerneltest.Output(b, ns, "iptables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
	serve(b, ns, "127.0.0.2:2222")
	for range connections {
		connect(b, ns, "127.0.0.2:2222", 0)
	}
	a := open(b, Target{Namespace: path(ns)}, Filter{})
	b.ReportAllocs()
	for b.Loop() {
		r, err := a.Look()
		if err != nil || r.Summary.Risk != 2*connections {
			b.Fatal(err, r.Summary)
		}
	}
}
