package rulepath

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// world is the article's, with kube-proxy's rules on the client's node and an echo server in each pod:
//
//	client .219.65 ── master ══ eth0 ══ node1 ── server-1 .166.130
//	                  10.108.33.37:2222       └─ server-2 .166.131
type world struct {
	*topology.Lab
	master *topology.Namespace
	rules  *iptables.Node
}

var (
	clientAddr  = netip.MustParseAddr("172.18.219.65")
	serviceAddr = netip.MustParseAddrPort("10.108.33.37:2222")
	emptyAddr   = netip.MustParseAddrPort("10.108.33.38:2222")
	backends    = []netip.AddrPort{
		netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("172.18.166.131:2222"),
	}
	toService = Match{Dst: serviceAddr}
)

// newWorld builds it without rules. Without the privileges the test is skipped, or fails if CTSIM_REQUIRE_KERNEL=1.
func newWorld(t testing.TB) *world {
	t.Helper()
	kerneltest.Need(t)
	lab, err := topology.Up(context.Background(), topology.Plan{
		Network: netip.MustParsePrefix("192.168.122.0/24"),
		Nodes: []topology.Node{
			{Name: "master", Address: netip.MustParseAddr("192.168.122.20"),
				PodCIDR: netip.MustParsePrefix("172.18.219.0/24"),
				Pods:    []topology.Pod{{Name: "client", Address: clientAddr}}},
			{Name: "node1", Address: netip.MustParseAddr("192.168.122.21"),
				PodCIDR: netip.MustParsePrefix("172.18.166.0/23"),
				Pods: []topology.Pod{
					{Name: "server-1", Address: backends[0].Addr()},
					{Name: "server-2", Address: backends[1].Addr()}}},
		},
	})
	check(t, err)
	t.Cleanup(func() { check(t, lab.Close()) })
	w := &world{Lab: lab, master: lab.Namespace("master")}
	w.serve(t, "server-1", backends[0])
	w.serve(t, "server-2", backends[1])
	return w
}

// install puts a service with the given endpoints, and one without, on master.
func (w *world) install(t testing.TB, flavour iptables.Flavour, endpoints ...netip.AddrPort) {
	t.Helper()
	var err error
	w.rules, err = iptables.Open(w.master, flavour)
	check(t, err)
	check(t, w.rules.Install(ruleSet(endpoints)))
}

func ruleSet(endpoints []netip.AddrPort) iptables.RuleSet {
	return iptables.Rules(kube.ProxyConfig{ClusterCIDR: netip.MustParsePrefix("172.18.0.0/16")}, []kube.Service{
		{Namespace: "default", Name: "server", PortName: "tcp", ClusterIP: serviceAddr.Addr(), Port: serviceAddr.Port(),
			Endpoints: endpoints},
		{Namespace: "default", Name: "empty", PortName: "tcp", ClusterIP: emptyAddr.Addr(), Port: emptyAddr.Port()},
	}...)
}

// watch watches master until the end of the test, with the rules' texts learnt if there are rules.
func (w *world) watch(t testing.TB, matches ...Match) *Watcher {
	t.Helper()
	watcher, err := Watch(w.master)
	check(t, err)
	t.Cleanup(func() { check(t, watcher.Close()) })
	if w.rules != nil {
		w.learn(t, watcher)
	}
	check(t, watcher.Trace(matches...))
	return watcher
}

func (w *world) learn(t testing.TB, watcher *Watcher) (save string) {
	t.Helper()
	save, err := w.rules.Save()
	check(t, err)
	check(t, watcher.Learn(save))
	return save
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve echoes what comes until the end of the test.
func (w *world) serve(t testing.TB, pod string, at netip.AddrPort) {
	t.Helper()
	var l net.Listener
	check(t, w.Namespace(pod).Do(func() (err error) {
		l, err = net.Listen("tcp4", at.String())
		return err
	}))
	var echoes sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		close(ended) // a client that was cut off never closes
		echoes.Wait()
	})
	echoes.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			echoes.Go(func() {
				<-ended
				_ = c.Close()
			})
			echoes.Go(func() { _, _ = io.Copy(c, c) })
		}
	})
}

// dial connects from a pod or node.
func (w *world) dial(t testing.TB, from string, to netip.AddrPort) net.Conn {
	t.Helper()
	var c net.Conn
	check(t, w.Namespace(from).Do(func() (err error) {
		c, err = net.DialTimeout("tcp4", to.String(), 20*time.Second)
		return err
	}))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange sends something and waits for its echo, or for the reset that says that it went elsewhere. Either way the
// packet has been through the node.
func exchange(t testing.TB, c net.Conn) {
	t.Helper()
	check(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	if _, err := c.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	_, err := io.ReadFull(c, make([]byte, 10))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// flush empties master's conntrack table.
func (w *world) flush(t testing.TB) {
	t.Helper()
	check(t, w.master.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }))
}

// withFlags gives the paths of the packets with exactly these TCP flags.
func withFlags(t testing.TB, watcher *Watcher, flags string) []Path {
	t.Helper()
	paths, err := watcher.Paths()
	check(t, err)
	if n := watcher.Lost(); n != 0 {
		t.Fatalf("lost %d", n)
	}
	return slices.DeleteFunc(paths, func(p Path) bool { return p.Packet.Flags.String() != flags })
}

// onlyPath is the path of the one packet with these flags.
func onlyPath(t testing.TB, watcher *Watcher, flags string) Path {
	t.Helper()
	paths := withFlags(t, watcher, flags)
	if len(paths) != 1 {
		t.Fatalf("%d packets [%s]: %v", len(paths), flags, paths)
	}
	return paths[0]
}

// chainsOf gives "table CHAIN" of each hop, each chain once in a row, with the hashes of kube-proxy's names left out.
func chainsOf(p Path) []string {
	var all []string
	for _, h := range p.Hops {
		chain := h.Chain
		for _, prefix := range []string{"KUBE-SVC-", "KUBE-SEP-"} {
			if strings.HasPrefix(chain, prefix) {
				chain = prefix
			}
		}
		all = append(all, h.Table+" "+chain)
	}
	return slices.Compact(all)
}
