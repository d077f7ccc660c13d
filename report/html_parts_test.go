package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// TestEntryWords: an entry is told in few words, whatever is known of it.
func TestEntryWords(t *testing.T) {
	left := 300
	tuple := func(src, dst string) evidence.TupleFacts { return evidence.TupleFacts{Src: src, Dst: dst} }
	for _, test := range []struct {
		entry          evidence.EntryFacts
		summary, leads string
	}{
		{evidence.EntryFacts{State: "ESTABLISHED", Left: &left, Unreplied: true, Translates: true, Original: tuple("10.0.0.1:4", "10.96.0.1:2"), Reply: tuple("10.0.1.1:2", "10.0.0.1:4")},
			"ESTABLISHED [UNREPLIED] 300 s left", "10.96.0.1:2 ⇒ 10.0.1.1:2"},
		{evidence.EntryFacts{Assured: true, Offloaded: true, Translates: true, Original: tuple("10.0.0.1:4", "10.96.0.1:2"), Reply: tuple("10.0.1.1:2", "10.0.9.9:7")},
			"[OFFLOAD]", "10.96.0.1:2 ⇒ 10.0.1.1:2, source 10.0.0.1:4 ⇒ 10.0.9.9:7"},
		{evidence.EntryFacts{Original: tuple("10.0.0.1", "10.96.0.1"), Reply: tuple("10.96.0.1", "10.0.0.1")}, "", "10.0.0.1 → 10.96.0.1, not translated"},
	} {
		if summary, leads := entrySummary(&test.entry), entryLeads(&test.entry); summary != test.summary || leads != test.leads {
			t.Errorf("%q, %q; want %q, %q", summary, leads, test.summary, test.leads)
		}
	}
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{"KUBE-SVC-OU4YAF3JEHVEJFUL": "KUBE-SVC-OU4Y…", "KUBE-SERVICES": "KUBE-SERVICES", "": "", "-": "-",
		"KUBE-EXTERNAL-SERVICES": "KUBE-EXTERNAL-SERVICES", "MY-lowercaseletters": "MY-lowercaseletters", "OU4YAF3JEHVEJFUL": "OU4YAF3JEHVEJFUL"} {
		if got := shortName(name); got != want {
			t.Errorf("%q is shortened to %q, want %q", name, got, want)
		}
	}
}

// lives are entries of one connection, each "node backend"; a backend of - is none.
func lives(all ...string) []account.Entry {
	var out []account.Entry
	for i, s := range all {
		node, backend, _ := strings.Cut(s, " ")
		ended := float64(i) + 0.5
		e := account.Entry{Node: node, Backend: strings.Trim(backend, "-"), Made: float64(i), Ended: &ended, By: "flushed by ctsim"}
		out = append(out, e)
	}
	return out
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name    string
		entries []account.Entry
		verdict string
		tone    string
		before  string // when the two shown were made
		after   string
	}{
		{name: "none", entries: nil},
		{name: "nothing translated", entries: lives("node1 -", "node1 -")},
		{"flushed for good", lives("master server-1"), "flushed by ctsim; no entry was made in its place", "warn", "+0.000000 s", ""},
		{"re-routed", lives("master server-1", "node1 -", "master server-2", "node1 -"), "re-translated: server-1 → server-2", "bad", "+0.000000 s", "+2.000000 s"},
		{"by luck, then re-routed", lives("master server-1", "master server-1", "master server-2"), "re-translated: server-1 → server-2", "bad", "+1.000000 s", "+2.000000 s"},
		{"re-routed, then by luck", lives("master server-1", "master server-2", "master server-2"), "re-translated: server-1 → server-2", "bad", "+0.000000 s", "+1.000000 s"},
		{"the only backend", lives("master server-1", "master server-1"), "translated afresh, to server-1 again", "same", "+0.000000 s", "+1.000000 s"},
		{"the server speaks", lives("master server-1", "node1 -", "node1 -", "master -"), "not translated: a new entry without DNAT", "bad", "+0.000000 s", "+3.000000 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := compare(test.entries)
			if c == nil {
				if test.verdict != "" {
					t.Fatal("nothing to compare")
				}
				return
			}
			got := []string{c.Verdict, c.Tone, c.Before.Made, ""}
			if c.After != nil {
				got[3] = c.After.Made
			}
			if diff := cmp.Diff([]string{test.verdict, test.tone, test.before, test.after}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// sketch is rows in letters: a capital is one to keep, s a step, p a packet, m is of no account, D the end of an entry,
// = a translation to the same backend, ! one to another. Back again, a fold is its rows in brackets.
func sketch(letters string) []row {
	var out []row
	for i, c := range letters {
		r := row{Badge: "x", Class: "other", signature: string(c), t: float64(i), keep: c >= 'A' && c <= 'Z'}
		switch c {
		case 's':
			r.Class, r.begins = "step", true
		case 'p':
			r.Class, r.begins = "packet", true
		case 'm':
			r.hide()
		case 'D':
			r.Badge = "DESTROY"
		case '=':
			r.MarkTone, r.keep = "same", true
		case '!':
			r.MarkTone, r.keep = "bad", true
		}
		out = append(out, r)
	}
	return out
}

func sketched(rows []row) string {
	var b strings.Builder
	for _, r := range rows {
		if r.Fold != nil {
			fmt.Fprintf(&b, "(%s)", sketched(r.Fold.Rows))
			continue
		}
		b.WriteString(r.signature)
	}
	return b.String()
}

func TestFoldRepetitions(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "aa": "aa", "aaa": "a(aa)", "abcabcabcd": "abc(abcabc)d", "xababab": "xab(abab)", "AAAA": "AAAA", "aAaAaA": "aAaAaA",
		"pkdpkdpkd": "pkd(pkdpkd)", "kdpkdpkdpkd": "kdpkd(pkdpkd)", "abab": "abab", "aaab": "a(aa)b", "aaabbb": "a(aa)b(bb)",
	} {
		if got := sketched(foldRepetitions(sketch(in))); got != want {
			t.Errorf("%q is folded to %q, want %q", in, got, want)
		}
	}
}

func TestFoldEarlier(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "spp": "spp", "sDp!p": "sDp!p", "spsDp=sDp!R": "sp(sDp=)sDp!R", "sDp=sDp=sDp!": "(sDp=sDp=)sDp!", "sDp=sDp=": "(sDp=)sDp=",
		"Dp=Dp!": "Dp=Dp!", "sDp!sDp!": "sDp!sDp!", "sDp!sDp=": "sDp!sDp=",
	} {
		if got := sketched(foldEarlier(sketch(in))); got != want {
			t.Errorf("%q is folded to %q, want %q", in, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	rows := shorten(sketch(strings.Repeat("a", maxRows+10)))
	if len(rows) != maxRows+1 || !strings.HasPrefix(rows[maxRows/3].Text, "10 rows are left out") {
		t.Errorf("%d rows, %q", len(rows), rows[maxRows/3].Text)
	}
	long := foldRepetitions(sketch(strings.Repeat("a", 10_000)))
	if len(long) != 2 || len(long[1].Fold.Rows) != maxFolded || long[1].Fold.Left != 9999-maxFolded {
		t.Errorf("a long fold is written as a whole")
	}
}

// seenAt is a packet at hops, each "place direction source destination".
func seenAt(number int, hops ...string) []evidence.Observation {
	var out []evidence.Observation
	for i, hop := range hops {
		w := strings.Fields(hop)
		out = append(out, evidence.Observation{T: float64(i), Source: "packet", At: w[0], Connection: 1,
			Packet: &evidence.PacketFacts{Journey: number, Direction: w[1], Src: w[2], Dst: w[3]}})
	}
	return out
}

func TestDraw(t *testing.T) {
	world := told().World
	world = append(world, evidence.Place{Name: "outside", Kind: "machine", Role: "client", Address: "192.168.122.1"})
	for _, test := range []struct {
		name string
		hops []string
		want string // each arrow as from>to, with the text above and below it; lost at the end if it is
	}{
		{"to the service", []string{"client out C:1 V:2222", "master out C:1 S1:2222", "node1 in C:1 S1:2222", "server-1 in C:1 S1:2222"},
			"client>master V:2222; master>node1 S1:2222; node1>server-1"},
		{"back", []string{"server-1 out S1:2222 C:1", "node1 out S1:2222 C:1", "master in S1:2222 C:1", "client in V:2222 C:1"},
			"server-1>node1 S1:2222; node1>master; master>client V:2222"},
		{"not translated back", []string{"server-1 out S1:2222 C:1", "node1 out S1:2222 C:1", "master in S1:2222 C:1", "client in S1:2222 C:1"},
			"server-1>node1 S1:2222; node1>master; master>client S1:2222"},
		{"masqueraded", []string{"client out C:1 V:2222", "master out M:9 S1:2222", "node1 in M:9 S1:2222"},
			"client>master V:2222; master>node1 S1:2222/M:9; node1>lost"},
		{"of the node's own making", []string{"client in M:0 C:1"}, "master>client M:0"},
		{"dropped by the node", []string{"client out C:1 V:2222"}, "client>lost V:2222"},
		{"dropped after the node", []string{"client out C:1 V:2222", "master out C:1 S1:2222"}, "client>master V:2222; master>lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addresses := strings.NewReplacer("C:", "172.18.219.65:", "V:", "10.108.33.37:", "S1:", "172.18.166.130:", "M:", "192.168.122.20:")
			var hops []string
			for _, h := range test.hops {
				hops = append(hops, addresses.Replace(h))
			}
			seen := append(seenAt(1, hops...), seenAt(2, "client in 1 2", "master in 1 2", "node1 in 1 2", "server-1 in 1 2")...)
			r := &result.Result{World: world, Service: told().Service}
			l := newLanes(r, seen)
			got := arrows(l, l.draw(journeys(seen)[0]))
			if want := addresses.Replace(test.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// arrows is a drawing in words.
func arrows(l *lanes, d drawing) string {
	name := map[string]string{d.Lost: "lost"}
	for _, lane := range l.Lanes {
		name[lane.X] = lane.Name
	}
	var out []string
	for _, s := range d.Segments {
		text := name[s.From] + ">" + name[s.To]
		if s.Above != "" {
			text += " " + s.Above
		}
		if s.Below != "" {
			text += "/" + s.Below
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// TestJourneys: packets of one number are one, and one without a number is alone.
func TestJourneys(t *testing.T) {
	seen := append(seenAt(1, "server-1 out a b", "node1 out a b"), seenAt(2, "server-2 out a b", "node1 out a b")...)
	seen = append(seen, seenAt(0, "client in a b", "client in a b")...)
	var got []string
	all := journeys(seen)
	for i := range seen {
		if j, ok := all[i]; ok {
			got = append(got, j.way())
		}
	}
	if diff := cmp.Diff([]string{"server-1 → node1", "server-2 → node1", "client", "client"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLanes: what was seen at many places has no more lifelines than can be told apart.
func TestLanes(t *testing.T) {
	var seen []evidence.Observation
	for i := range 20 {
		seen = append(seen, evidence.Observation{Source: "server", At: fmt.Sprintf("server-%d", i)})
	}
	l := newLanes(&result.Result{}, seen)
	if len(l.Lanes) != maxLanes || l.Lanes[maxLanes-1].Name != "13 others" || l.x("server-19") != l.Lanes[maxLanes-1].X {
		t.Errorf("%v", l.Lanes)
	}
}

func TestGroups(t *testing.T) {
	all := []account.Connection{
		{ID: 1, Outcome: account.Survived, Backends: []string{"a"}}, {ID: 2, Outcome: account.Reset, Errno: "ECONNRESET", Backends: []string{"a", "b"}},
		{ID: 3, Outcome: account.Reset, Errno: "ECONNRESET", Backends: []string{"b", "a"}}, {ID: 4, Outcome: account.Survived, Backends: []string{"b", "b"}},
	}
	var got []string
	for _, g := range groups(all) {
		got = append(got, fmt.Sprint(g.Outcome, " ", g.Rerouted, " ", g.Count, " ", g.Percent, " ", g.Example))
	}
	want := []string{"reset to another backend 2 50.0 % 2", "survived no new entry 1 25.0 % 1", "survived to the same backend 1 25.0 % 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConclusion(t *testing.T) {
	checks := []verdict.Check{{Text: "a", Verdict: verdict.Fail}, {Text: "b", Verdict: verdict.Pass}, {Text: "c", Verdict: verdict.Fail}}
	for _, test := range []struct {
		r     result.Result
		short string
		unmet int
	}{
		{result.Result{Verdict: verdict.Pass, Reason: "as expected: survived", Expectations: checks}, "as expected: survived", 0},
		{result.Result{Verdict: verdict.Fail, Reason: "not as expected: a: x; c: y", Expectations: checks}, "not as expected, in 2 of 3 expectations", 2},
		{result.Result{Verdict: verdict.Fail, Reason: "not as expected: a: x", Expectations: checks[:2]}, "not as expected: a: x", 0},
		{result.Result{Verdict: verdict.Inconclusive, Reason: "the run was interrupted before its last step", Expectations: checks, Interrupted: true}, "the run was interrupted before its last step", 0},
	} {
		if short, unmet := conclusion(&test.r); short != test.short || len(unmet) != test.unmet {
			t.Errorf("%q: got %q and %v", test.r.Reason, short, unmet)
		}
	}
}

// TestDropped: where no entry was lost, the packet that a rule dropped is the one to follow.
func TestDropped(t *testing.T) {
	rule := func(at float64, kind string, hop evidence.HopFacts) evidence.Observation {
		return evidence.Observation{T: at, Source: "rule", At: "node1", Kind: kind, Path: &evidence.PathFacts{Verdict: hop.Verdict, Hops: []evidence.HopFacts{hop}}}
	}
	seen := []evidence.Observation{
		rule(1, "ESTABLISHED", evidence.HopFacts{Table: "filter", Chain: "FORWARD", Kind: "policy", Verdict: "ACCEPT"}),
		rule(2, "DROP", evidence.HopFacts{Table: "filter", Chain: "KUBE-FORWARD", Kind: "rule", Rule: "-m conntrack --ctstate INVALID -j DROP", Verdict: "DROP"}),
	}
	entry := lives("master server-1")
	entry[0].Ended = nil
	met := rulesAround(seen, entry)
	if met.Dropped == nil || met.Dropped.Time != stamp(2) || met.After != nil || met.Before != nil {
		t.Errorf("got %+v", met)
	}
	if met := rulesAround(seen[:1], entry); met.Dropped != nil {
		t.Errorf("nothing was dropped: %+v", met.Dropped)
	}
}

func TestFactsTimeScale(t *testing.T) {
	told := func(r result.Result) bool {
		return strings.Contains(fmt.Sprint(facts(&r)), "time_scale 3600: every duration is divided by it, an hour of production takes 1.00 s")
	}
	if !told(result.Result{TimeScale: 3600}) || told(result.Result{}) {
		t.Errorf("got %v and %v", facts(&result.Result{TimeScale: 3600}), facts(&result.Result{}))
	}
}
