package report

import (
	"html"
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

// trialOf is a trial whose one connection ended so, with all that a sentence about it needs.
func trialOf(o account.Outcome, v verdict.Verdict) *result.Result {
	at := 1.5
	c := account.Connection{ID: 1, Local: "172.18.219.65:40000", Outcome: o, Backends: []string{"server-1"},
		Balance: account.Balance{{What: account.ItemSocket, Side: "server", Text: "THE ITEM", Decides: true}, {What: account.ItemUse, Text: "THE USE"}}}
	switch o {
	case account.Reset, account.Refused, account.Timeout, account.Reconnected:
		c.Errno, c.NoticedBy, c.NoticedAt = "ECONNRESET", "client", &at
	case account.Hang, account.WrongBackend:
		c.NoticedBy = account.Nobody
	}
	return &result.Result{Scenario: "try", Trial: true, Verdict: v, Example: 1, Reason: "THE REASON", Connections: []account.Connection{c},
		Expectations: []verdict.Check{{Text: "THE EXPECTATION", Verdict: v}}}
}

// saysOf are what the terminal, the folder's text and its page say of a trial: the word, and the sentence.
func saysOf(t *testing.T, r *result.Result) (word, sentence string) {
	t.Helper()
	var terminal, text, page strings.Builder
	for _, err := range []error{Try(&terminal, r, TextOptions{Width: 1000}), inText(&text, r), HTML(&page, r)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.SplitN(terminal.String(), "\n", 3)
	word, sentence = strings.Fields(lines[0])[0], strings.TrimSpace(lines[1])
	if !strings.HasPrefix(text.String(), word+"  took") {
		t.Errorf("the terminal says %s, the text begins with %.40q", word, text.String())
	}
	for _, want := range []string{"<title>try: " + strings.ToLower(word) + " – ctsim", "</span> " + strings.ToLower(word) + "</span>",
		"<strong>Result:</strong> " + sentence} {
		if !strings.Contains(html.UnescapeString(page.String()), want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	return word, sentence
}

// TestTryTellsEachOutcome: there is a sentence for each outcome that an account can have, of its own and with the outcome's
// word above it, in the terminal and in the report.
func TestTryTellsEachOutcome(t *testing.T) {
	if len(sentences) != len(account.Outcomes) {
		t.Errorf("%d sentences for %d outcomes", len(sentences), len(account.Outcomes))
	}
	said := map[string]account.Outcome{}
	for _, o := range account.Outcomes {
		for _, v := range []verdict.Verdict{verdict.Pass, verdict.Fail} {
			word, sentence := saysOf(t, trialOf(o, v))
			if word != strings.ToUpper(string(o)) {
				t.Errorf("%s: the word is %s", o, word)
			}
			if strings.Contains(sentence, "THE REASON") || said[sentence] != "" && said[sentence] != o {
				t.Errorf("%s has no sentence of its own: %q (%s)", o, sentence, said[sentence])
			}
			said[sentence] = o
		}
		word, sentence := saysOf(t, trialOf(o, verdict.Inconclusive))
		if word != "INCONCLUSIVE" || !strings.HasPrefix(sentence, "THE REASON.") {
			t.Errorf("%s, inconclusive: %s %q", o, word, sentence)
		}
	}
}

// TestTrialSentence: a sentence says no more than the account does: who was told, if anybody, and of which connection.
func TestTrialSentence(t *testing.T) {
	two := func(r *result.Result, other account.Connection) {
		other.ID = 2
		r.Connections = append(r.Connections, other)
		r.Service.Backends = []string{"a", "b"}
	}
	for _, c := range []struct {
		name    string
		outcome account.Outcome
		verdict verdict.Verdict
		change  func(*result.Result, *account.Connection)
		want    string
		not     string
	}{
		{"hang, nobody told", account.Hang, verdict.Fail, func(*result.Result, *account.Connection) {},
			"the connection hangs: THE ITEM. No program was told.", ""},
		{"hang, the server told", account.Hang, verdict.Fail, func(_ *result.Result, c *account.Connection) { c.NoticedBy, c.Errno = "server", "ECONNRESET" },
			"The server was told first, ECONNRESET.", "No program"},
		{"reset, nobody told", account.Reset, verdict.Fail, func(_ *result.Result, c *account.Connection) {
			c.NoticedBy, c.Errno, c.NoticedAt = account.Nobody, "", nil
		}, "the connection is dead: a RST has ended it, and no program was told.", "nobody"},
		{"reset, after the server's end", account.Reset, verdict.Fail, func(_ *result.Result, c *account.Connection) { c.Errno = "EPIPE" },
			"The server had ended its side before.", ""},
		{"tries, and a re-routing", account.Reset, verdict.Fail, func(_ *result.Result, c *account.Connection) {
			c.Breaks, c.Backends = 3, []string{"server-1", "server-1", "server-2"}
		}, "It took 3 tries: until then the fresh pick was the old backend, by luck.", ""},
		{"breaks that re-routed nothing", account.Reset, verdict.Fail, func(_ *result.Result, c *account.Connection) { c.Breaks = 3 }, "is dead", "tries"},
		{"a connect that nobody answered", account.Timeout, verdict.Fail, func(_ *result.Result, c *account.Connection) {
			c.NoticedBy, c.Errno, c.NoticedAt, c.Balance = account.Nobody, "", nil, nil
		}, "the client's connect was never answered.", ""},
		{"given up, nobody told", account.Timeout, verdict.Fail, func(_ *result.Result, c *account.Connection) {
			c.NoticedBy, c.Errno, c.NoticedAt = account.Nobody, "", nil
		}, "the connection was given up, and no program was told: THE ITEM.", "connect was"},
		{"given up without a word of the kernel", account.Reconnected, verdict.Pass, func(_ *result.Result, c *account.Connection) { c.Errno, c.NoticedAt = "", nil },
			"the connection died (the client gave it up), and the program silently opened a new one.", ""},
		{"survived and closed", account.Survived, verdict.Pass, func(_ *result.Result, c *account.Connection) {
			c.Balance = append(c.Balance, account.Item{What: account.ItemFIN, Decides: true})
		}, "the connection survived: it was used after the break, and then closed in order.", ""},
		{"survived half-closed", account.Survived, verdict.Pass, func(_ *result.Result, c *account.Connection) { c.HalfClosed = true },
			"one side has ended its stream in order since", "closed in order"},
		{"survived, a reset expected", account.Survived, verdict.Fail, func(*result.Result, *account.Connection) {},
			"That is not as expected: THE EXPECTATION.", ""},
		{"one of two is dead", account.Reset, verdict.Fail, func(r *result.Result, _ *account.Connection) {
			two(r, account.Connection{Outcome: account.Closed, Untested: account.ClosedBefore})
		}, "connection 1 is dead: the client was told first, ECONNRESET at +1.500 s. None of the program's others is known to stand in its place. " +
			"Of the program's 2 connections: 1 reset; connection 2 not tested, its program had closed it before the break.", "did not open"},
		{"one of two was spared", account.Reset, verdict.Fail, func(r *result.Result, _ *account.Connection) {
			two(r, account.Connection{Outcome: account.Survived, Breaks: 1, Backends: []string{"server-1", "server-1"}})
		}, "1 reset; 1 survived without being re-routed.", ""},
		{"a replacement is none of the program's others", account.Reconnected, verdict.Pass, func(r *result.Result, _ *account.Connection) {
			two(r, account.Connection{Outcome: account.Survived, Replaces: 1})
		}, "connection 1 died (ECONNRESET at the client at +1.500 s), and the program silently opened a new one.", "Of the program's"},
		{"closed before", account.Closed, verdict.Inconclusive, func(_ *result.Result, c *account.Connection) { c.Untested = account.ClosedBefore },
			"use it again later, after the break: a shorter --after breaks it sooner, --input types a line", ""},
		{"not used", account.Unknown, verdict.Inconclusive, func(_ *result.Result, c *account.Connection) {
			c.Balance = account.Balance{{What: account.ItemUse, Decides: true}}
		}, "Let the client use it again later: --input types a line to it after the break, and a longer --hold waits", "--after"},
		{"spared", account.Survived, verdict.Inconclusive, func(r *result.Result, c *account.Connection) {
			c.Breaks, r.Service.Backends = 1, []string{"a", "b"}
		}, "--backends 10", "--hold"},
		{"one backend spares nobody", account.Survived, verdict.Inconclusive, func(r *result.Result, c *account.Connection) {
			c.Breaks, r.Service.Backends = 1, []string{"a"}
		}, "THE REASON.", "--backends"},
		{"interrupted", account.Unknown, verdict.Inconclusive, func(r *result.Result, c *account.Connection) {
			r.Interrupted, c.Untested = true, account.ClosedBefore
		}, "THE REASON.", "--"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := trialOf(c.outcome, c.verdict)
			c.change(r, &r.Connections[0])
			_, got := saysOf(t, r)
			if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("%q; want %q, not %q", got, c.want, c.not)
			}
		})
	}
}
