package result

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/internal/golden"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// The recorded runs pass, with the library's expectations of today.
func TestRecordedEvidencePasses(t *testing.T) {
	for _, name := range recorded.Names {
		if r := New(builtin.Plan(t, builtin.Find(t, name)), recorded.Of(t, name)); r.Verdict != verdict.Pass {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Reason)
		}
	}
}

// The cause is told from what was observed, sentence by sentence.
func TestCause(t *testing.T) {
	for _, name := range recorded.Names {
		t.Run(name, func(t *testing.T) {
			r := New(builtin.Plan(t, builtin.Find(t, name)), recorded.Of(t, name))
			golden.Text(t, "cause/"+name+".txt", r.Reason+"\n"+strings.Join(r.Cause, "\n")+"\n")
		})
	}
}

// What decides the fresh pick, and as whom the flow arrives there, is told as it was seen.
func TestCauseOfTheFreshPick(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*evidence.Evidence)
		want   string
	}{
		{"one backend", func(*evidence.Evidence) {}, "to server-1, the only backend, and the flow goes on"},
		{"by luck", func(e *evidence.Evidence) { e.Pods[netip.MustParseAddr("172.18.166.131")] = "server-2" },
			"to server-1 again, by luck, and the flow goes on"},
		{"session affinity", func(e *evidence.Evidence) {
			e.Pods[netip.MustParseAddr("172.18.166.131")] = "server-2"
			e.Rules["master"] = append(e.Rules["master"], dataplane.Counter{Chain: "KUBE-SVC-X",
				Rule: "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-X --mask 255.255.255.255 --rsource -j KUBE-SEP-X", Packets: 1})
		}, "to server-1 again, as the rules of sessionAffinity have it, and the flow goes on"},
		{"masqueraded", func(e *evidence.Evidence) {
			for i := range e.Events {
				if ev := &e.Events[i]; e.Translates(ev.Node) {
					ev.Reply.Dst = netip.AddrPortFrom(netip.MustParseAddr("192.168.122.20"), uint16(1000+i))
				}
			}
		}, "to server-1, the only backend, masqueraded afresh as 192.168.122.20:10"},
		{"lost elsewhere", func(e *evidence.Evidence) {
			e.Events = slices.DeleteFunc(e.Events, func(ev evidence.EntryEvent) bool {
				return e.Translates(ev.Node) && (ev.Type == conntrack.Destroy || ev.Type == conntrack.New && ev.TCP != conntrack.TCPSynSent)
			})
		}, "the entry on node1, which translates nothing, is destroyed: flushed by ctsim"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := recorded.Of(t, "flush-single-backend")
			tt.change(e)
			cause := strings.Join(New(builtin.Plan(t, builtin.Find(t, "flush-single-backend")), e).Cause, "\n")
			if !strings.Contains(cause, tt.want) {
				t.Errorf("want %q in:\n%s", tt.want, cause)
			}
		})
	}
}
