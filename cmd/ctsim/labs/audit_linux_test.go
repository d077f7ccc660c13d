package labs

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/probe/audit"
)

// audited is what the audit says of the clients' connections, by lab.
func (m *machine) audited(t *testing.T, from ...string) map[string]audit.Connection {
	t.Helper()
	words := append(slices.Clone(from), "audit", "--all-netns", "--output", "json")
	var r audit.Report
	if err := json.Unmarshal([]byte(m.Must(t, words...)), &r); err != nil {
		t.Fatal(err)
	}
	all := map[string]audit.Connection{}
	for _, n := range r.Namespaces {
		lab, isClient := strings.CutSuffix(strings.TrimPrefix(n.Name, "ctsim-"), "-client")
		if !isClient || len(n.Connections) != 1 {
			continue
		}
		all[lab] = n.Connections[0]
		if want := "ctsim-" + lab + "-master"; !slices.Equal(n.Near, []string{want}) {
			t.Errorf("%s is linked to %v, want %s", n.Name, n.Near, want)
		}
	}
	for _, line := range append(r.Missing, problems(r)...) {
		if strings.Contains(line, "sudo") && (m.Who.UID == 0 || len(from) > 0) {
			t.Errorf("root is told: %s", line)
		}
	}
	return all
}

func problems(r audit.Report) (all []string) {
	for _, n := range r.Namespaces {
		all = append(all, n.Problems...)
		for _, c := range n.Connections {
			all = append(all, c.Why)
		}
	}
	return all
}

// TestKernelLabAudit: two labs with the same addresses, and each connection is judged by its own lab's table. Root looks from
// outside, an ordinary user from inside of each.
func TestKernelLabAudit(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		labs := []string{"a", "b"}
		var clients []*systemtest.Terminal
		for _, lab := range labs {
			m.Must(t, "lab", "up", lab)
			for _, pod := range []string{"server-1", "server-2"} {
				m.Open(t, "lab", "exec", "--lab", lab, pod, "--", m.Path, "server").Line("listening on")
			}
			c := m.Open(t, "lab", "exec", "--lab", lab, "client", "--", m.Path, "client", "10.108.33.37:2222", "--keepalive-idle", "30s")
			c.Line("connect 10.108.33.37:2222 from")
			clients = append(clients, c)
		}
		root := m.Who.UID == 0
		look := func(lab string) audit.Connection {
			t.Helper()
			var from []string
			if !root {
				from = []string{"lab", "exec", "--lab", lab, "master", "--", m.Path}
			}
			c, ok := m.audited(t, from...)[lab]
			if !ok {
				t.Fatalf("lab %s: the client has no connection", lab)
			}
			return c
		}
		for _, lab := range labs {
			c := look(lab)
			// Who may not see the socket's idle time reckons with the longest, 32767 s, which is less than the 86400 s left.
			if len(c.Entries) == 0 || c.Verdict != audit.OK {
				t.Errorf("lab %s: %s (%s): %s", lab, c.Verdict, c.Reason, c.Why)
			}
			for _, e := range c.Entries {
				if !strings.HasPrefix(e.Table, "ctsim-"+lab+"-") {
					t.Errorf("lab %s: the entry is one of %s", lab, e.Table)
				}
			}
		}
		m.Must(t, "lab", "flush", "--lab", "a")
		if c := look("a"); c.Verdict == audit.OK || len(c.Entries) > 0 || c.Command == "" {
			t.Errorf("lab a, flushed: %s (%s): %s: %+v, %q", c.Verdict, c.Reason, c.Why, c.Entries, c.Command)
		}
		if c := look("b"); len(c.Entries) == 0 {
			t.Errorf("lab b, not flushed: %s (%s): %s", c.Verdict, c.Reason, c.Why)
		}
		if _, _, code := m.Run(t, "audit", "--all-netns", "--port", "1", "--fail-on", "risk"); code != cmdline.ExitInconclusive {
			t.Errorf("a report on nobody: exit code %d", code)
		}
		for _, c := range clients {
			c.HangUp()
		}
		m.Must(t, "lab", "down", "--all")
	})
}
