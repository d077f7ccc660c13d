package scenario

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/internal/golden"
	"github.com/ctsim/ctsim/probe/conntrack"
)

// recorded names the scenarios whose evidence, from a real run, is kept in testdata/evidence. Together they show
// everything that an expectation can speak of.
var recorded = []string{"flush-multi-backend", "flush-single-backend", "server-speaks-first", "loose-off",
	"scale-to-zero", "keepalive-too-slow", "pod-ip-reuse", "invalid-out-of-window", "invalid-not-dropped", "errno-syn-sent",
	"half-open-server"}

// evidenceOf replays a recording: no test that uses it needs a kernel. Each call gives a copy of its own.
func evidenceOf(t testing.TB, name string) *evidence {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/evidence", name+".json"))
	if err != nil {
		t.Fatalf("%v; record it with: sudo go test ./scenario -run TestKernelRecord -record", err)
	}
	var e evidence
	if err := replay(text, reflect.ValueOf(&e).Elem()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return &e
}

// The recorded runs pass, with the library's expectations of today.
func TestRecordedEvidencePasses(t *testing.T) {
	for _, name := range recorded {
		if r := NewResult(planOf(t, find(t, name)), evidenceOf(t, name)); r.Verdict != Pass {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Reason)
		}
	}
}

// The cause is told from what was observed, sentence by sentence.
func TestCause(t *testing.T) {
	for _, name := range recorded {
		t.Run(name, func(t *testing.T) {
			r := NewResult(planOf(t, find(t, name)), evidenceOf(t, name))
			golden.Text(t, "cause/"+name+".txt", r.Reason+"\n"+strings.Join(r.Cause, "\n")+"\n")
		})
	}
}

// What decides the fresh pick, and as whom the flow arrives there, is told as it was seen.
func TestCauseOfTheFreshPick(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*evidence)
		want   string
	}{
		{"one backend", func(*evidence) {}, "to server-1, the only backend, and the flow goes on"},
		{"by luck", func(e *evidence) { e.pods[netip.MustParseAddr("172.18.166.131")] = "server-2" },
			"to server-1 again, by luck, and the flow goes on"},
		{"session affinity", func(e *evidence) {
			e.pods[netip.MustParseAddr("172.18.166.131")] = "server-2"
			e.rules["master"] = append(e.rules["master"], dataplane.Counter{Chain: "KUBE-SVC-X",
				Rule: "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-X --mask 255.255.255.255 --rsource -j KUBE-SEP-X", Packets: 1})
		}, "to server-1 again, as the rules of sessionAffinity have it, and the flow goes on"},
		{"masqueraded", func(e *evidence) {
			for i := range e.events {
				if ev := &e.events[i]; e.translates(ev.node) {
					ev.Reply.Dst = netip.AddrPortFrom(netip.MustParseAddr("192.168.122.20"), uint16(1000+i))
				}
			}
		}, "to server-1, the only backend, masqueraded afresh as 192.168.122.20:10"},
		{"lost elsewhere", func(e *evidence) {
			e.events = slices.DeleteFunc(e.events, func(ev entryEvent) bool {
				return e.translates(ev.node) && (ev.Type == conntrack.Destroy || ev.Type == conntrack.New && ev.TCP != conntrack.TCPSynSent)
			})
		}, "the entry on node1, which translates nothing, is destroyed: flushed by ctsim"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := evidenceOf(t, "flush-single-backend")
			tt.change(e)
			cause := strings.Join(NewResult(planOf(t, find(t, "flush-single-backend")), e).Cause, "\n")
			if !strings.Contains(cause, tt.want) {
				t.Errorf("want %q in:\n%s", tt.want, cause)
			}
		})
	}
}
