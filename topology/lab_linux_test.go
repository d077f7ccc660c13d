package topology

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ctsim/ctsim/internal/kerneltest"
)

// testPlan is the article's world:
//
//	client .219.65 ── master ══ eth0 ══ node1 ── server-1 .166.130
//	                                          └─ server-2 .166.131
func testPlan() Plan {
	return Plan{
		Network: netip.MustParsePrefix("192.168.122.0/24"),
		Nodes: []Node{
			{Name: "master", Address: netip.MustParseAddr("192.168.122.20"),
				PodCIDR: netip.MustParsePrefix("172.18.219.0/24"),
				Pods:    []Pod{{Name: "client", Address: netip.MustParseAddr("172.18.219.65")}}},
			{Name: "node1", Address: netip.MustParseAddr("192.168.122.21"),
				PodCIDR: netip.MustParsePrefix("172.18.166.0/23"),
				Pods: []Pod{
					{Name: "server-1", Address: netip.MustParseAddr("172.18.166.130")},
					{Name: "server-2", Address: netip.MustParseAddr("172.18.166.131")}}},
		},
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func hostLinks(t *testing.T) string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, l := range links {
		out += fmt.Sprintln(l.Attrs().Index, l.Attrs().Name, l.Type())
	}
	return out
}

func TestKernelLabCarriesTraffic(t *testing.T) {
	kerneltest.Need(t)
	before := hostLinks(t)
	plan := testPlan()
	plan.Hosts = []Host{{Name: "outside", Address: netip.MustParseAddr("192.168.122.1")}}
	for _, plan := range []Plan{testPlan(), plan} {
		lab, err := Up(context.Background(), plan)
		if err != nil {
			t.Fatal(err)
		}
		from := []string{"client"}
		if len(plan.Hosts) > 0 {
			from = append(from, "outside")
		}
		for _, name := range from {
			reach(t, lab, name, "server-2", "172.18.166.131:7")
		}
		unreachable := func(ns *Namespace) error {
			return ns.Do(func() error {
				if _, err := net.InterfaceByName(Uplink); err == nil {
					t.Error("the pod is prepared when it can be reached already")
				}
				return nil
			})
		}
		if err := lab.AddPod("node1", Pod{Name: "server-3", Address: netip.MustParseAddr("172.18.166.132")}, unreachable); err != nil {
			t.Fatal(err)
		}
		reach(t, lab, "client", "server-3", "172.18.166.132:7")
		if err := lab.RemovePod("server-3"); err != nil {
			t.Fatal(err)
		}
		if err := lab.AddPod("node1", Pod{Name: "again", Address: netip.MustParseAddr("172.18.166.132")}, nil); err != nil {
			t.Fatal("the address of a removed pod cannot be taken over:", err)
		}
		if err := lab.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := hostLinks(t); after != before {
		t.Errorf("host links changed:\n%s\n---\n%s", before, after)
	}
}

// A node's bridge keeps its MAC address when pods come and go: what others send to it is not lost.
func TestKernelBridgeStaysTheSame(t *testing.T) {
	kerneltest.Need(t)
	lab, err := Up(context.Background(), testPlan())
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.UntilEnd(t, lab)
	bridge := func() string {
		return kerneltest.Output(t, lab.Namespace("node1"), "ip", "-br", "link", "show", bridgeName)
	}
	before := bridge()
	for range 8 { // the port with the lowest address gives the bridge its own, if it has none: one of eight is lower
		for _, change := range []func() error{
			func() error {
				return lab.AddPod("node1", Pod{Name: "server-3", Address: netip.MustParseAddr("172.18.166.132")}, nil)
			},
			func() error { return lab.RemovePod("server-3") },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if after := bridge(); after != before {
				t.Fatalf("%swas %s", after, before)
			}
		}
	}
}

func TestKernelUpUndoesEveryStep(t *testing.T) {
	kerneltest.Need(t)
	steps := 0
	lab, err := up(context.Background(), testPlan(), func(string) error { steps++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if steps < 8 {
		t.Fatalf("only %d steps can fail", steps)
	}
	before := openFiles(t)
	broken := errors.New("broken on purpose")
	for i := range steps {
		n := 0
		_, err := up(context.Background(), testPlan(), func(string) error {
			if n++; n > i {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) {
			t.Fatalf("step %d: got %v", i, err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}

func TestKernelUpEndsWithItsContext(t *testing.T) {
	kerneltest.Need(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Up(ctx, testPlan()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

func TestKernelSysctl(t *testing.T) {
	kerneltest.Need(t)
	ns, err := NewNamespace("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.SetSysctl("net.ipv4.tcp_keepalive_time", "60"); err != nil {
		t.Fatal(err)
	}
	if v, err := ns.Sysctl("net.ipv4.tcp_keepalive_time"); err != nil || v != "60" {
		t.Errorf("got %q, %v", v, err)
	}
	if err := ns.SetSysctl("net.ipv4.no_such_thing", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unknown key: got %v, want ErrNotExist", err)
	}
	if err := errors.Join(ns.Close(), ns.Close()); err != nil {
		t.Error(err)
	}
	if err := ns.Do(func() error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("closed namespace: got %v", err)
	}
}

func TestPlanCheck(t *testing.T) {
	if err := testPlan().Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Plan){
		"no nodes":       func(p *Plan) { p.Nodes = nil },
		"name twice":     func(p *Plan) { p.Nodes[1].Pods[0].Name = "client" },
		"name too long":  func(p *Plan) { p.Nodes[1].Pods[0].Name = "server-1000" },
		"address twice":  func(p *Plan) { p.Nodes[1].Pods[0].Address = p.Nodes[1].Pods[1].Address },
		"gateway taken":  func(p *Plan) { p.Nodes[1].Pods[0].Address = p.Nodes[1].Gateway() },
		"outside CIDR":   func(p *Plan) { p.Nodes[1].Pods[0].Address = netip.MustParseAddr("10.0.0.1") },
		"node elsewhere": func(p *Plan) { p.Nodes[0].Address = netip.MustParseAddr("10.0.0.1") },
	} {
		p := testPlan()
		spoil(&p)
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkUp(b *testing.B) {
	kerneltest.Need(b)
	for b.Loop() {
		lab, err := Up(context.Background(), testPlan())
		if err != nil {
			b.Fatal(err)
		}
		_ = lab.Close()
	}
}

// reach opens a TCP connection from one namespace to a listener in another and waits for the connection to arrive.
func reach(t *testing.T, lab *Lab, from, to, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := dialOnce(ctx, lab.Namespace(from), lab.Namespace(to), address); err != nil {
		t.Fatalf("%s to %s: %v", from, to, err)
	}
}
