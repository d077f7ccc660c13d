package report

import (
	"strings"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// TestTry: what a person asks first stands at the top, and each limit says whether a probe comes in time.
func TestTry(t *testing.T) {
	at, code := 1.5, 2
	r := &result.Result{Trial: true, Verdict: verdict.Fail, Example: 1, Reason: "not as expected",
		Connections: []account.Connection{{ID: 1, Local: "172.18.219.65:40000", Outcome: account.Reset, Errno: "ECONNRESET",
			NoticedBy: "client", NoticedAt: &at, Peer: account.HalfOpen, Breaks: 3, Backends: []string{"server-1", "server-2"},
			ClientSocket: &account.SocketSettings{Process: "psql", KeepAlive: true, IdleS: 7200, Text: "keepalive on"},
			ServerSocket: &account.SocketSettings{Process: "postgres", Text: "keepalive off"}}},
		Programs: []result.ProgramRun{{Side: "client", At: "client", ExitCode: &code, Ended: "exit code 2"}},
		Timeline: []evidence.Observation{{Source: "client", At: "client", Kind: "stderr", Text: "lost\x1b[31m",
			Output: &evidence.OutputFacts{Stream: "stderr", Line: "lost\x1b[31m"}}},
		Cure: "one\ntwo"}
	for _, c := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"reset", func() {}, []string{
			"RESET  took 0 ms",
			"the connection is dead: the client was told first, ECONNRESET at +1.500 s.",
			"half-open", "It took 3 tries",
			"  client psql: keepalive on", "  server postgres: keepalive off",
			"86400 s  kube-proxy's conntrack  kept: the client's first probe comes after 7200 s",
			"350 s  AWS NLB, NAT gateway    cut: the client's first probe comes after 7200 s, 6850 s too",
			"  client: exit code 2", "    client stderr| lost�[31m", "  - one", "  - two"}},
		{"no keepalive", func() { r.Connections[0].ClientSocket.KeepAlive = false }, []string{"350 s  AWS NLB, NAT gateway    cut: no probe ever comes"}},
		{"silently reconnected", func() { r.Connections[0].Outcome = account.Reconnected }, []string{"RECONNECTED", "silently opened a new one"}},
		{"used once more", func() {
			r.Timeline = append(r.Timeline, evidence.Observation{Source: "step", Kind: "again"})
		}, []string{"opened a new one when it was used once more"}},
		{"inconclusive", func() { r.Verdict = verdict.Inconclusive }, []string{"INCONCLUSIVE", "not as expected"}},
	} {
		c.change()
		var b strings.Builder
		if err := Try(&b, r, TextOptions{Width: 100}); err != nil {
			t.Fatal(err)
		}
		flat := strings.Join(strings.Fields(b.String()), " ")
		for _, want := range c.want {
			if !strings.Contains(flat, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: %q is missing in\n%s", c.name, want, b.String())
			}
		}
	}
}

// TestTrialReport: the page and the text of a trial's report say what the terminal says: the outcome and not the verdict,
// what the sockets were set to, what that means in production, and the program's last words.
func TestTrialReport(t *testing.T) {
	r := &result.Result{Scenario: "try", Trial: true, Verdict: verdict.Fail, Example: 1, Reason: "not as expected: every connection: survived",
		Connections: []account.Connection{{ID: 1, Local: "172.18.219.65:40000", Outcome: account.Reset, Errno: "ECONNRESET", NoticedBy: "client",
			ClientSocket: &account.SocketSettings{Process: "psql", KeepAlive: true, IdleS: 7200, Text: "keepalive on"}}},
		Programs: []result.ProgramRun{{Side: "client", At: "client", Ended: "exit code 2"}},
		Timeline: []evidence.Observation{{Source: "client", At: "client", Kind: "stderr", Text: "<b>lost\x1b[31m",
			Output: &evidence.OutputFacts{Stream: "stderr", Line: "<b>lost\x1b[31m"}}}}
	var page, text strings.Builder
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	if err := inText(&text, r); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), "RESET  took") {
		t.Errorf("the text begins with %.40q", text.String())
	}
	for _, want := range []string{"<title>try: reset – ctsim", "✗</span> reset</span>", "<strong>Result:</strong> the connection is dead",
		"psql: keepalive on", "kube-proxy&#39;s conntrack", "first probe comes after 7200 s, 6850 s too late", "client: exit code 2", "stderr| &lt;b&gt;lost"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(page.String(), "\x1b") || strings.Contains(page.String(), "ctsim run try") {
		t.Error("an escape, or a command that does not exist, is on the page")
	}
	r.Trial = false // a scenario of that name is judged
	page.Reset()
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "✗</span> fail</span>") || strings.Contains(page.String(), "Idle in production") {
		t.Error("the page of a run is that of a trial")
	}
}
