package lab

import (
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ctsim/ctsim"
	"github.com/ctsim/ctsim/scenario"
)

var builtIn = sync.OnceValues(func() (*scenario.Library, error) {
	return scenario.Parse("scenarios.yaml", ctsim.Scenarios)
})

// record is a lab that does not stand, of a built-in scenario with other numbers.
func record(t *testing.T, name, of string, backends, nodes int) *Record {
	t.Helper()
	l, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := l.Find(of)
	if !ok {
		t.Fatalf("no scenario %s", of)
	}
	if nodes > 0 {
		s.World.Nodes = nodes
	}
	r, err := NewRecord(name, s, scenario.Size{Backends: backends}, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{"default": true, "a": true, "lab-2": true, "": false, "-a": false, "a-": false, "A": false,
		"../x": false, "a/b": false, "a b": false, strings.Repeat("a", 30): true, strings.Repeat("a", 31): false, ".new-1": false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	r := record(t, DefaultName, "flush-multi-backend", 0, 0)
	if got := r.NamespaceName("client"); got != "ctsim-client" {
		t.Error(got)
	}
	r.Name = "other"
	if got := r.NamespaceName("client"); got != "ctsim-other-client" {
		t.Error(got)
	}
	want := []string{"master", "client", "node1", "server-1", "server-2"}
	if diff := cmp.Diff(want, r.Places()); diff != "" {
		t.Error(diff)
	}
	if got := r.Place(netip.MustParseAddr("172.18.166.131")); got != "server-2" {
		t.Errorf("place: %q", got)
	}
	if got := r.Place(netip.MustParseAddr("10.108.33.37")); got != "" {
		t.Errorf("the service is no place: %q", got)
	}
}

// TestRecordIsKept: what is read is what was written, for every built-in scenario's world.
func TestRecordIsKept(t *testing.T) {
	l, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Scenarios {
		before := record(t, "kept", s.Name, 0, 0)
		data, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		after := &Record{}
		if err := json.Unmarshal(data, after); err != nil {
			t.Fatal(err)
		}
		same := []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(before, after, same...); diff != "" {
			t.Errorf("%s: %s", s.Name, diff)
		}
		// A server pod that is added later is the one that there would have been with more backends.
		more := record(t, "kept", s.Name, before.Backends+1, 0)
		plan, err := scenario.Scenario{TimeScale: after.TimeScale, World: after.World}.WorldPlan(scenario.Size{Backends: after.Backends + 1})
		if err != nil {
			t.Fatal(err)
		}
		pod := plan.Pods[len(plan.Pods)-1]
		if got := more.backend(pod.Name); got == nil || got.Node != pod.Node || got.Address != pod.Address {
			t.Errorf("%s: server %d would be %+v, not %+v", s.Name, after.Backends+1, pod, got)
		}
	}
}

func TestPicture(t *testing.T) {
	for _, c := range []struct {
		of              string
		backends, nodes int
		want            string
	}{
		{"flush-multi-backend", 0, 0, `
client 172.18.219.65 ── master 192.168.122.20 ══ node1 192.168.122.21 ─┬─ server-1 172.18.166.130
                                                                       └─ server-2 172.18.166.131
`},
		{"flush-multi-backend", 10, 3, `
client 172.18.219.65 ── master 192.168.122.20 ═╦ node1 192.168.122.21 ─┬─ server-1 172.18.166.130
                                               ║                       ├─ server-3 172.18.166.131
                                               ║                       ┆
                                               ║                       └─ server-9 172.18.166.134
                                               ╚ node2 192.168.122.22 ─┬─ server-2 172.18.168.130
                                                                       ├─ server-4 172.18.168.131
                                                                       ┆
                                                                       └─ server-10 172.18.168.134
`},
		{"nodeport-single-backend", 0, 0, `
client 172.18.219.65 ── master 192.168.122.20 ═╦ node1 192.168.122.21 ─── server-1 172.18.166.130
                                               ╚ outside 192.168.122.1
`},
	} {
		r := record(t, "x", c.of, c.backends, c.nodes)
		want := "service default/myservice 10.108.33.37:2222/TCP\n" + c.want
		if diff := cmp.Diff(want, r.Picture()); diff != "" {
			t.Errorf("%s with %d backends (-want +got):\n%s", c.of, c.backends, diff)
		}
	}
	r := record(t, "x", "flush-multi-backend", 0, 0)
	r.Blueprint.Service.Endpoints = r.Blueprint.Service.Endpoints[:1]
	if !strings.Contains(r.Picture(), "server-2 172.18.166.131 (no endpoint)\n") {
		t.Errorf("a pod that is no endpoint does not say so:\n%s", r.Picture())
	}
}
