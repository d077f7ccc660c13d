package audit

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/topology"
)

// only gives the one connection from a port in a namespace.
func only(t testing.TB, r *Report, ns *topology.Namespace, port uint16) Connection {
	t.Helper()
	var found []Connection
	for _, n := range r.Namespaces {
		for _, c := range n.Connections {
			if n.Inode == ns.Inode() && c.Local.Port() == port {
				found = append(found, c)
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("port %d in %s: %+v\n%+v", port, ns.Name(), found, r)
	}
	return found[0]
}

func look(t testing.TB, a *Auditor) *Report {
	t.Helper()
	r, err := a.Look()
	check(t, err)
	return r
}

// connectFrom is connect from a port that is chosen.
func connectFrom(t testing.TB, ns *topology.Namespace, port int, to string, idle int) {
	t.Helper()
	fd := newSocket(t, ns, unix.AF_INET)
	check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	check(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle))
	check(t, unix.Bind(fd, &unix.SockaddrInet4{Port: port}))
	check(t, unix.Connect(fd, sockaddr(netip.MustParseAddrPort(to))))
}

// TestKernelAuditTwoLabs: two labs with the same addresses, and the same connection in both: each is judged by the table of
// its own node, whether all namespaces are looked at or the pod alone.
func TestKernelAuditTwoLabs(t *testing.T) {
	labs := []*topology.Lab{newWorld(t), newWorld(t)}
	for _, lab := range labs {
		serve(t, lab.Namespace("master"), "127.0.0.1:1") // hooks are told with the first socket
		serve(t, lab.Namespace("node1"), "127.0.0.1:1")
		serve(t, lab.Namespace("server"), "172.18.166.130:2222")
		connectFrom(t, lab.Namespace("client"), 41024, "10.108.33.37:2222", 60)
	}
	all := open(t, Target{All: true}, Filter{})
	judged := func(what string, want [2]Verdict) {
		t.Helper()
		for i, lab := range labs {
			pod := lab.Namespace("client")
			alone := look(t, open(t, Target{Namespace: path(pod)}, Filter{}))
			for how, r := range map[string]*Report{"all": look(t, all), "alone": alone} {
				c := only(t, r, pod, 41024)
				if root := all.kernel != nil; c.Verdict != want[i] && (root || c.Verdict == OK) {
					t.Errorf("%s, lab %d, %s: %s (%s): %s", what, i, how, c.Verdict, c.Reason, c.Why)
				}
				if tables := len(c.Entries); (want[i] == OK) != (tables > 0) {
					t.Errorf("%s, lab %d, %s: entries %+v", what, i, how, c.Entries)
				}
			}
		}
	}
	judged("before", [2]Verdict{OK, OK})
	kerneltest.Output(t, labs[0].Namespace("master"), "conntrack", "-F")
	kerneltest.Output(t, labs[0].Namespace("node1"), "conntrack", "-F")
	judged("flushed in the first", [2]Verdict{Unknown, OK})
	kerneltest.Output(t, labs[1].Namespace("master"), "conntrack", "-F")
	kerneltest.Output(t, labs[1].Namespace("node1"), "conntrack", "-F")
	judged("flushed in both", [2]Verdict{Unknown, Unknown})
}

// TestKernelAuditNear: a pod's node is what its veth leads to, and a table on the way is found as it translates.
func TestKernelAuditNear(t *testing.T) {
	lab := newWorld(t)
	serve(t, lab.Namespace("server"), "172.18.166.130:2222")
	connectFrom(t, lab.Namespace("client"), 41024, "10.108.33.37:2222", 60)
	r := look(t, open(t, Target{All: true}, Filter{}))
	names := map[uint64]string{}
	for _, n := range r.Namespaces {
		names[n.Inode] = n.Name
	}
	for _, n := range r.Namespaces {
		for pod, node := range map[string]string{"client": "master", "server": "node1"} {
			if n.Inode != lab.Namespace(pod).Inode() {
				continue
			}
			if want := names[lab.Namespace(node).Inode()]; len(n.Near) != 1 || n.Near[0] != want || len(n.Unseen) != 0 {
				t.Errorf("%s is linked to %q and unseen %q, want %s", pod, n.Near, n.Unseen, want)
			}
		}
	}
	c := only(t, r, lab.Namespace("client"), 41024)
	tables := map[string]string{}
	for _, e := range c.Entries {
		tables[e.Table] = e.Backend
	}
	if got := tables[names[lab.Namespace("master").Inode()]]; got != "172.18.166.130:2222" {
		t.Errorf("entries %+v", c.Entries)
	}
}

// dockerLike is a host with two containers on a bridge, of which one has a published port, and a client outside:
//
//	outside 192.0.2.2 ── 192.0.2.1 host (DNAT 192.0.2.1:8080) docker0 172.17.0.1 ── web 172.17.0.2:80
//	                                                                            └── other 172.17.0.3
func dockerLike(t testing.TB) map[string]*topology.Namespace {
	t.Helper()
	newWorld(t) // skips where namespaces are not to be had
	all := map[string]*topology.Namespace{}
	for _, name := range []string{"host", "web", "other", "outside"} {
		ns, err := topology.NewNamespace(name)
		check(t, err)
		t.Cleanup(func() { _ = ns.Close() })
		all[name] = ns
		kerneltest.Output(t, ns, "ip", "link", "set", "lo", "up")
	}
	host := all["host"]
	run := func(ns *topology.Namespace, lines ...string) {
		t.Helper()
		for _, line := range lines {
			kerneltest.Output(t, ns, strings.Fields(line)[0], strings.Fields(line)[1:]...)
		}
	}
	run(host, "ip link add docker0 type bridge", "ip address add 172.17.0.1/16 dev docker0", "ip link set docker0 up", "sysctl -qw net.ipv4.ip_forward=1")
	for name, address := range map[string]string{"web": "172.17.0.2/16", "other": "172.17.0.3/16", "outside": "192.0.2.2/24"} {
		run(host, fmt.Sprintf("ip link add v-%s type veth peer name eth0 netns %s", name, path(all[name])), "ip link set v-"+name+" up")
		run(all[name], "ip address add "+address+" dev eth0", "ip link set eth0 up")
		if name != "outside" {
			run(host, "ip link set v-"+name+" master docker0", "ip link set v-"+name+" type bridge_slave hairpin on")
			run(all[name], "ip route add default via 172.17.0.1")
		}
	}
	run(host, "ip address add 192.0.2.1/24 dev v-outside",
		"iptables -w -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		"iptables -w -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		"iptables -w -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
		"iptables -w -t nat -A POSTROUTING -s 172.17.0.0/16 -d 172.17.0.2 -p tcp --dport 80 -j MASQUERADE")
	return all
}

// TestKernelAuditPublishedPort: clients of a published port, outside, in another container, in the same one (hairpin) and on
// the host. Each end of each has the entry of the host, and none is ok when that was flushed.
func TestKernelAuditPublishedPort(t *testing.T) {
	all := dockerLike(t)
	serve(t, all["host"], "127.0.0.1:1") // hooks are told with the first socket
	serve(t, all["web"], "172.17.0.2:80")
	froms := []string{"outside", "other", "web", "host"}
	for i, from := range froms {
		connectFrom(t, all[from], 50001+i, "192.0.2.1:8080", 60)
	}
	for _, target := range []Target{{All: true}, {Namespace: path(all["web"])}, {Namespace: path(all["other"])}, {Namespace: path(all["outside"])}} {
		a := open(t, target, Filter{})
		seen := 0
		for i, from := range froms {
			for _, n := range look(t, a).Namespaces {
				for _, c := range n.Connections {
					if n.Inode != all[from].Inode() || c.Local.Port() != uint16(50001+i) {
						continue
					}
					seen++
					if len(c.Entries) != 1 || c.Entries[0].Backend != "172.17.0.2:80" || a.kernel != nil && c.Verdict != OK {
						t.Errorf("%+v: from %s: %s (%s): %s: %+v", target, from, c.Verdict, c.Reason, c.Why, c.Entries)
					}
				}
			}
		}
		if seen == 0 || target.All && seen != len(froms) {
			t.Errorf("%+v: %d clients seen", target, seen)
		}
	}
	// The server's ends, of which the hairpin's and those of the other container are masqueraded. Who probes is seen only
	// if that namespace is read as well.
	for _, target := range []Target{{All: true}, {Namespace: path(all["web"])}} {
		a, services := open(t, target, Filter{Port: 80}), 0
		for _, n := range look(t, a).Namespaces {
			for _, c := range n.Connections {
				if n.Inode != all["web"].Inode() || c.Local.Port() != 80 {
					continue
				}
				services++
				if len(c.Entries) != 1 || c.Entries[0].Service != "192.0.2.1:8080" || target.All && a.kernel != nil && c.Reason != PeerProbes {
					t.Errorf("%+v: server's end: %s (%s): %s: %+v", target, c.Verdict, c.Reason, c.Why, c.Entries)
				}
			}
		}
		if services != len(froms) {
			t.Errorf("%+v: %d server's ends, want %d", target, services, len(froms))
		}
	}
	for _, loose := range []string{"1", "0"} {
		check(t, all["host"].SetSysctl("net.netfilter.nf_conntrack_tcp_loose", loose))
		kerneltest.Output(t, all["host"], "conntrack", "-F")
		for _, target := range []Target{{All: true}, {Namespace: path(all["web"])}, {Namespace: path(all["host"])}, {Namespace: path(all["outside"])}} {
			for _, n := range look(t, open(t, target, Filter{})).Namespaces {
				for _, name := range append(froms, "web") {
					if n.Inode == all[name].Inode() && (n.Summary.OK > 0 || n.Summary.Connections == 0) {
						t.Errorf("loose %s, %+v: after a flush: %s: %+v", loose, target, name, n.Connections)
					}
				}
				for _, c := range n.Connections {
					if n.Inode == all["outside"].Inode() && !strings.Contains(c.Why, map[string]string{"1": "goes astray and draws a RST", "0": "INVALID"}[loose]) {
						t.Errorf("loose %s: %s", loose, c.Why)
					}
				}
			}
		}
	}
}

// TestKernelAuditMidStream: an entry that the first packet after a flush made, untranslated or to another backend, is not
// ok before an answer has passed it.
func TestKernelAuditMidStream(t *testing.T) {
	all := dockerLike(t)
	serve(t, all["host"], "127.0.0.1:1")
	serve(t, all["web"], "172.17.0.2:80")
	fd := newSocket(t, all["outside"], unix.AF_INET)
	check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	check(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60))
	check(t, unix.Bind(fd, &unix.SockaddrInet4{Port: 50001}))
	check(t, unix.Connect(fd, sockaddr(netip.MustParseAddrPort("192.0.2.1:8080"))))
	// What is sent after the flush is picked up, and goes to where nobody answers.
	kerneltest.Output(t, all["host"], "iptables", "-w", "-t", "nat", "-I", "PREROUTING", "-p", "tcp", "--dport", "8080", "-j", "DNAT", "--to-destination", "172.17.0.9:80")
	kerneltest.Output(t, all["host"], "ip", "neigh", "add", "172.17.0.9", "lladdr", "02:00:00:00:00:09", "dev", "docker0")
	kerneltest.Output(t, all["host"], "conntrack", "-F")
	_, err := unix.Write(fd, []byte("x"))
	check(t, err)
	c := only(t, look(t, open(t, Target{Namespace: path(all["outside"])}, Filter{})), all["outside"], 50001)
	if c.Verdict == OK || len(c.Entries) != 1 {
		t.Errorf("%s (%s): %s: %+v", c.Verdict, c.Reason, c.Why, c.Entries)
	}
}
