package report

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/probe/audit"
)

func seconds64(s float64) *float64 { return &s }

// auditOfTwo has a row of each verdict, a hostile name, an entry on the node, an estimate, and a namespace that could not
// be read.
func auditOfTwo() *audit.Report {
	at := netip.MustParseAddrPort
	client := audit.Connection{
		Local: at("172.18.219.65:41024"), Remote: at("10.108.33.37:2222"), State: "ESTABLISHED",
		Process: &audit.Process{PID: 4711, Name: "evil\n\x1b[31m) S 1", Others: 2}, Timer: audit.Timer{Netstat: "off (0.00/0/0)"},
		IdleS: seconds64(3725.4), Verdict: audit.Risk, Reason: audit.NoKeepalive, LeftS: seconds64(82674.9),
		Entries: []audit.Entry{{Table: "host", LeftS: seconds64(82674.9), Backend: "172.18.166.131:2222", Source: "192.168.122.20:41024"}},
		Why:     "keepalive is off, so no probe ever comes; the entry on host has 82674 s left; what is sent after that may go to another backend, which answers RST",
		Cure:    "switch keepalive on",
	}
	hidden := audit.Connection{
		Local: at("[2001:db8::1]:443"), Remote: at("[2001:db8::2]:40000"), Timer: audit.Timer{Netstat: "on (0.20/1/0)"},
		Verdict: audit.Unknown, Reason: audit.KeepaliveHidden, Estimated: true, LeftS: seconds64(300), Entries: []audit.Entry{}, Why: "data is under way",
		Command: "nsenter --net=/proc/22/ns/net ss -tnoie sport = :443",
	}
	fine := audit.Connection{
		Local: at("172.18.219.65:22"), Remote: at("192.0.2.7:50000"), Process: &audit.Process{PID: 22, Name: "sshd"},
		Timer: audit.Timer{Netstat: "keepalive (6800.00/0/0)"}, IdleS: seconds64(400), Verdict: audit.OK, Reason: audit.NotTracked,
		Entries: []audit.Entry{}, Why: "nothing is tracked here",
	}
	return &audit.Report{
		Namespaces: []audit.Namespace{
			{Name: "host", Inode: 4026531833, Conntrack: audit.TableFacts{State: audit.TableRead, Entries: 12, EstablishedS: 86400}, KeepaliveTimeS: 7200},
			{
				Name: "pid 22 (sshd)", Inode: 4026532177, Pod: "1f0c2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7",
				Conntrack: audit.TableFacts{State: audit.TableEmpty, EstablishedS: 432000}, KeepaliveTimeS: 7200,
				Summary:     audit.Summary{Connections: 3, Risk: 1, Unknown: 1, OK: 1},
				Connections: []audit.Connection{client, hidden, fine},
				Near:        []string{"host"}, Unseen: []string{"eth1"},
				Problems: []string{"times idle are not known"},
			},
			{Name: "blue", Inode: 4026532178, Summary: audit.Summary{Unread: 1}, Problems: []string{"enter: operation not permitted"}},
		},
		Summary: audit.Summary{Connections: 3, Risk: 1, Unknown: 1, OK: 1, Unread: 1},
		Missing: []string{"the processes of 1 connection"},
	}
}

func TestAudit(t *testing.T) {
	for name, o := range map[string]TextOptions{
		"audit.txt": {}, "audit-verbose.txt": {Verbose: true}, "audit-quiet.txt": {Quiet: true}, "audit-color-60.txt": {Color: true, Width: 60},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Audit(&b, auditOfTwo(), o); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.String())
		})
	}
}

// TestAuditJSON: what is written is read back the same, and in one line if it is one of many.
func TestAuditJSON(t *testing.T) {
	for _, oneLine := range []bool{false, true} {
		var b strings.Builder
		if err := AuditJSON(&b, auditOfTwo(), oneLine); err != nil {
			t.Fatal(err)
		}
		var back audit.Report
		if err := json.Unmarshal([]byte(b.String()), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(auditOfTwo(), &back, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("-written +read:\n%s", diff)
		}
		if lines := strings.Count(b.String(), "\n"); (lines == 1) != oneLine {
			t.Errorf("%d lines", lines)
		}
	}
}
