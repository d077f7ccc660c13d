package iptables

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// newNode makes an empty namespace and a Node for it.
func newNode(t testing.TB, flavour Flavour) *Node {
	t.Helper()
	ns, err := topology.NewNamespace("node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	n, err := Open(ns, flavour)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	flavours = []Flavour{NFT, Legacy}
	methods  = []struct {
		name string
		Method
	}{{"calls", Calls}, {"restore", Restore}}
)

// TestKernelInstall: what the kernel holds after an installation, by either method and in either flavour, is what the
// RuleSet says it holds, and what the golden file says.
func TestKernelInstall(t *testing.T) {
	kerneltest.Need(t)
	for _, c := range matrix() {
		for _, flavour := range flavours {
			for _, m := range methods {
				t.Run(c.name+"/"+string(flavour)+"/"+m.name, func(t *testing.T) {
					t.Parallel()
					n := newNode(t, flavour)
					rs := Rules(c.cfg, c.services...)
					if err := n.InstallWith(m.Method, rs); err != nil {
						t.Fatal(err)
					}
					got, err := n.Save()
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(rs.Save(), got); diff != "" {
						t.Errorf("the kernel's rules differ (-rules +kernel):\n%s", diff)
					}
					if diff := cmp.Diff(golden(t, c.name), got); diff != "" {
						t.Errorf("the kernel's rules differ from the golden file (-golden +kernel):\n%s", diff)
					}
				})
			}
		}
	}
}

// TestKernelSync walks from case to case, there and back, each way by each method: what is left is what a fresh
// installation gives. The edits of all other pairs are proved without a kernel, in TestEditsMatrix.
func TestKernelSync(t *testing.T) {
	kerneltest.Need(t)
	walk := matrix()
	for _, c := range slices.Backward(matrix()) {
		walk = append(walk, matrix()[3], c) // by way of two endpoints
	}
	for _, flavour := range flavours {
		for _, m := range methods {
			t.Run(string(flavour)+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, flavour)
				before := "nothing" // Sync installs where there is nothing, too
				for _, c := range walk {
					if err := n.SyncWith(m.Method, Rules(c.cfg, c.services...)); err != nil {
						t.Fatalf("from %s to %s: %v", before, c.name, err)
					}
					checkSave(t, n, golden(t, c.name), "from "+before+" to "+c.name)
					before = c.name
				}
			})
		}
	}
}

func checkSave(t *testing.T, n *Node, want, when string) {
	t.Helper()
	got, err := n.Save()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: the kernel's rules differ (-want +kernel):\n%s", when, diff)
	}
}

// TestKernelManyEndpoints: the kernel rounds every probability as savedProbability says, and Auto installs and changes
// large tables, which do not fit into one message to the kernel where ctsim is not root.
func TestKernelManyEndpoints(t *testing.T) {
	kerneltest.Need(t)
	for _, flavour := range flavours {
		t.Run(string(flavour), func(t *testing.T) {
			n := newNode(t, flavour)
			// Long names and affinity make rules as large as they come.
			large := func(s *kube.Service) {
				s.Namespace, s.Name, s.Affinity = strings.Repeat("n", kube.MaxName), strings.Repeat("s", kube.MaxName), time.Hour
			}
			for i, endpoints := range []int{1001, 250, 1, 1000} {
				rs := Rules(kube.ProxyConfig{ClusterCIDR: clusterCIDR}, myservice(endpoints, large))
				do := n.Sync
				if i == 0 {
					do = n.Install
				}
				if err := do(rs); err != nil {
					t.Fatalf("%d endpoints: %v", endpoints, err)
				}
				checkSave(t, n, rs.Save(), "many endpoints")
			}
		})
	}
}

// TestKernelCounters sends one packet to a service of two endpoints:
//
//	socket 172.18.219.65 → OUTPUT → KUBE-SERVICES → KUBE-SVC-… → KUBE-SEP-… → 172.18.166.130 or .131, on lo
func TestKernelCounters(t *testing.T) {
	kerneltest.Need(t)
	for _, flavour := range flavours {
		t.Run(string(flavour), func(t *testing.T) {
			n := newNode(t, flavour)
			s := myservice(2)
			s.Protocol = kube.UDP
			if err := n.Install(Rules(kube.ProxyConfig{ClusterCIDR: clusterCIDR}, s)); err != nil {
				t.Fatal(err)
			}
			if err := n.ns.Do(func() error { return sendOne("172.18.219.65", s) }); err != nil {
				t.Fatal(err)
			}
			_, all, err := n.Dump()
			if err != nil {
				t.Fatal(err)
			}
			picked, translated := uint64(0), uint64(0)
			for _, c := range all {
				switch {
				case strings.Contains(c.Rule, "-j KUBE-SEP-"):
					picked += c.Packets
				case strings.Contains(c.Rule, "-j DNAT"):
					translated += c.Packets
					if c.Packets > 0 && c.Bytes != 28+4 {
						t.Errorf("%d bytes, want a packet of 28+4: %+v", c.Bytes, c)
					}
				}
			}
			if picked != 1 || translated != 1 {
				t.Errorf("picked %d, translated %d, want 1 each; counters: %+v", picked, translated, all)
			}
		})
	}
}

// sendOne sends 4 bytes to the service, from an address put on lo; nobody answers.
func sendOne(from string, s kube.Service) error {
	h, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(from + "/32")
	if err != nil {
		return err
	}
	_, everything, _ := net.ParseCIDR("0.0.0.0/0")
	if err := errors.Join(h.AddrAdd(lo, addr), h.LinkSetUp(lo),
		h.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: everything})); err != nil {
		return err
	}
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)},
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.ClusterIP, s.Port)))
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("ping"))
	return errors.Join(err, conn.Close())
}

// TestKernelLock: the legacy flavour waits for whoever holds the namespace's lock, and for nobody else; nft for nobody.
func TestKernelLock(t *testing.T) {
	kerneltest.Need(t)
	rs := Rules(kube.ProxyConfig{}, myservice(1))
	busy, idle := newNode(t, Legacy), newNode(t, Legacy)
	const held = 300 * time.Millisecond
	fd := -1
	if err := busy.ns.Do(func() (err error) {
		fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan time.Time, 1)
	go func() {
		if err := busy.InstallWith(Restore, rs); err != nil {
			t.Error(err)
		}
		done <- time.Now()
	}()
	if err := idle.Install(rs); err != nil {
		t.Fatal(err)
	}
	time.Sleep(held) // long enough to see an installation that does not wait
	released := time.Now()
	if err := unix.Flock(fd, unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if end := <-done; end.Before(released) {
		t.Error("the installation did not wait for the lock of its namespace")
	}
}

// TestKernelHostUnchanged: the rules of the namespace the test runs in are the same before and after.
func TestKernelHostUnchanged(t *testing.T) {
	kerneltest.Need(t)
	host := func() string {
		var all strings.Builder
		for _, flavour := range flavours {
			out, err := exec.Command("iptables-" + string(flavour) + "-save").Output()
			if err != nil {
				t.Skipf("the host's rules cannot be read: %v", err)
			}
			tables, err := parseSaved(string(out))
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(savedText(tables))
		}
		return all.String()
	}
	before := host()
	for _, flavour := range flavours {
		for _, m := range methods {
			n := newNode(t, flavour)
			if err := errors.Join(n.InstallWith(m.Method, Rules(kube.ProxyConfig{}, myservice(2))),
				n.SyncWith(m.Method, Rules(kube.ProxyConfig{}, myservice(1)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(before, host()); diff != "" {
		t.Errorf("the host's rules changed:\n%s", diff)
	}
}

// TestKernelErrors: a failure names the command and what it said.
func TestKernelErrors(t *testing.T) {
	kerneltest.Need(t)
	for _, flavour := range flavours {
		t.Run(string(flavour), func(t *testing.T) {
			n := newNode(t, flavour)
			err := n.within("try", func() error { return n.restore("*nat\n-A NOWHERE -j ACCEPT\nCOMMIT\n") })
			checkError(t, err, []string{"try of node: ", "-restore --noflush -w 5: exit status ", "line 2", "fail"})
			var failed *CommandError
			if !errors.As(err, &failed) || failed.Said == "" {
				t.Errorf("no CommandError in %#v", err)
			}

			err = n.call("try", []stage{{{{op: opAppend, table: "nat", chain: "NOWHERE", rule: Rule{"-j", "ACCEPT"}}}}})
			checkError(t, err, []string{"try of node: change chain NOWHERE of table nat: ", "exit status", "hain"})
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}

			invalid := Rules(kube.ProxyConfig{}, kube.Service{})
			if n.Install(invalid) == nil || n.Sync(invalid) == nil {
				t.Error("invalid rules were installed")
			}
			if err := n.ns.Close(); err != nil {
				t.Fatal(err)
			}
			if err := n.Install(Rules(kube.ProxyConfig{}, myservice(2))); !errors.Is(err, topology.ErrClosed) {
				t.Errorf("installation into a closed namespace: %v", err)
			}
		})
	}
}
