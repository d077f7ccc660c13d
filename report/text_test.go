package report

import (
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// golden compares got with a file in testdata. A missing file fails: it would make the test pass without checking.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is missing; write it with: go test ./report -update", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func render(t *testing.T, r *result.Result, o TextOptions) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	tuple     = "src=172.18.219.65 dst=10.108.33.37 sport=59468 dport=2222"
	replyFrom = " dst=172.18.219.65 sport=2222 dport=59468"
)

// seenCall is what a program of ctsim's own met.
func seenCall(t float64, text string, c evidence.CallFacts) evidence.Observation {
	return evidence.Observation{T: t, Source: "client", At: "client", Kind: c.Call, Text: c.Call + text, Connection: 1, Call: &c}
}

// seenPacket is a packet of the article's connection.
func seenPacket(t float64, at, kind, src, dst, flags string) evidence.Observation {
	return evidence.Observation{T: t, Source: "packet", At: at, Kind: kind, Connection: 1, Text: src + " > " + dst + " Flags [" + flags + "]",
		Packet: &evidence.PacketFacts{Protocol: "TCP", Src: src, Dst: dst, Flags: flags}}
}

// entryOf is the article's entry that leads to a pod.
func entryOf(event, state string, left int, pod string, assured bool, destroyer string) *evidence.EntryFacts {
	return &evidence.EntryFacts{Event: event, Protocol: "tcp", State: state, Left: &left, Translates: true, Unreplied: !assured, Assured: assured,
		Original: evidence.TupleFacts{Src: "172.18.219.65:59468", Dst: "10.108.33.37:2222"},
		Reply:    evidence.TupleFacts{Src: pod + ":2222", Dst: "172.18.219.65:59468"}, Destroyer: destroyer}
}

// article is the run the article tells of: one connection, two backends, the entry flushed.
func article() *result.Result {
	step := func(t float64, number int, at, kind, text string) evidence.Observation {
		return evidence.Observation{T: t, Source: "step", At: at, Kind: kind, Text: text, Step: &evidence.StepFacts{Number: number}}
	}
	event := func(t float64, text string, e *evidence.EntryFacts) evidence.Observation {
		return evidence.Observation{T: t, Source: "conntrack", At: "master", Kind: e.Event, Text: text, Connection: 1, Entry: e}
	}
	const client, service, server1 = "172.18.219.65:59468", "10.108.33.37:2222", "172.18.166.130:2222"
	r := &result.Result{
		Schema: result.SchemaVersion, Scenario: "flush-multi-backend",
		Title:    "Flushing the conntrack entry of an open connection resets it when the Service has several backends",
		Verdict:  verdict.Pass,
		Reason:   "the flow was translated to another backend after its entry was flushed, and reset by it",
		Happened: "after 1 loss of its entry the flow was re-routed to another backend, which answered RST",
		Cause: []string{
			"conntrack -F on master destroyed the entry that held 10.108.33.37:2222 → 172.18.166.131:2222.",
			"The client's second send succeeded: its socket knew nothing. The segment met the Service's rules anew, and a NEW " +
				"entry was made in the middle of the stream, with 172.18.166.130:2222 as the backend.",
			"server-1 has no such connection: its listening socket answered the ACK with a RST.",
			"The third send got ECONNRESET.",
		},
		Cure:   "Let the entry never expire: keepalive more often than nf_conntrack_tcp_timeout_established.",
		Kernel: "6.18.0", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), DurationS: 0.2137,
		Service: result.Service{Name: "default/myservice", Address: "10.108.33.37", Port: 2222, Protocol: "TCP",
			Backends: []string{"172.18.166.130:2222", "172.18.166.131:2222"}},
		Connections: []account.Connection{{ID: 1, Local: "172.18.219.65:59468", Outcome: account.Reset, Errno: "ECONNRESET",
			NoticedBy: "client", Backends: []string{"172.18.166.131:2222", "172.18.166.130:2222"}, Breaks: 1, Peer: account.HalfOpen,
			LostMessages: new(1), LostAnswers: new(0),
			Balance: account.Balance{{What: account.ItemError, Side: "client", At: "client", Text: "the client's send got ECONNRESET", Decides: true, Facts: []int{1}}}}},
		Summary: map[string]int{"connections": 1, "reset": 1, "survived": 0},
		Example: 1,
		World:   []evidence.Place{{Name: "client", Kind: "pod", Role: "client", Address: "172.18.219.65", Node: "master"}},
		Entries: []account.Entry{}, Rules: []account.RuleCount{},
		Expectations: []verdict.Check{
			{Text: "every connection is reset", Verdict: verdict.Pass, Reason: "1 of 1"},
			{Text: "the first send after the break succeeds and the next one fails", Verdict: verdict.Pass},
		},
		Timeline: []evidence.Observation{
			step(0.010100, 1, "client", "connect", "connect to 10.108.33.37:2222"),
			seenPacket(0.010150, "client", "SYN", client, service, "S"),
			event(0.010200, "    [NEW] tcp      6 120 SYN_SENT "+tuple+" [UNREPLIED] src=172.18.166.131"+replyFrom, entryOf("NEW", "SYN_SENT", 120, "172.18.166.131", false, "")),
			seenCall(0.010300, ": ok", evidence.CallFacts{Call: "connect", Local: client, Remote: service}),
			seenCall(0.010400, " 10 bytes: ok", evidence.CallFacts{Call: "send", Bytes: 10}),
			step(0.050000, 2, "master", "flush", "conntrack -F"),
			event(0.050200, "[DESTROY] tcp      6 86399 ESTABLISHED "+tuple+" src=172.18.166.131"+replyFrom+" [ASSURED]", entryOf("DESTROY", "ESTABLISHED", 86399, "172.18.166.131", true, "caller")),
			seenCall(0.060000, ": 10 bytes: ok", evidence.CallFacts{Call: "send", Bytes: 10}),
			event(0.060100, "    [NEW] tcp      6 300 ESTABLISHED "+tuple+" [UNREPLIED] src=172.18.166.130"+replyFrom, entryOf("NEW", "ESTABLISHED", 300, "172.18.166.130", false, "")),
			seenPacket(0.060200, "server-1", "RST", server1, client, "R"),
			seenPacket(0.060210, "node1", "RST", server1, client, "R"),
			seenPacket(0.060220, "client", "RST", service, client, "R"),
			seenCall(0.070000, ": ECONNRESET (connection reset by peer)", evidence.CallFacts{Call: "send", Errno: "ECONNRESET", Error: "connection reset by peer"}),
			{T: 0.070100, Source: "rule", At: "master", Kind: "counter", Text: "KUBE-SVC-OU4YAF3JEHVEJFUL +1"},
		},
		Lost:   map[string]int{"conntrack": 0, "packet": 0},
		Phases: []evidence.Phase{{Name: "build", Seconds: 0.0081}, {Name: "rules", Seconds: 0.0124}, {Name: "steps", Seconds: 0.1932}},
	}
	for i, text := range r.Cause {
		r.Account = append(r.Account, account.Sentence{T: r.DurationS, Text: text, AtEnd: true, Facts: []int{i}})
	}
	return r
}

// crowd is a run of many connections and backends that failed, was interrupted and could not see everything.
func crowd() *result.Result {
	r := article()
	r.Scenario, r.Title, r.Cure = "flush-many", "Many connections through ten backends", ""
	r.Verdict, r.Reason, r.Interrupted, r.Rootless = verdict.Fail, "2 of 4 connections survived", true, true
	r.Service.Backends = nil
	for _, last := range "0123456789" {
		r.Service.Backends = append(r.Service.Backends, "172.18.166.13"+string(last)+":2222")
	}
	first := r.Connections[0]
	survivor := first
	survivor.Outcome, survivor.Errno, survivor.NoticedBy, survivor.Peer = account.Survived, "", "", ""
	survivor.Backends, survivor.Breaks = survivor.Backends[:1], 2
	r.Connections, r.Example = nil, 2
	for i, c := range []account.Connection{survivor, first, survivor, first} {
		c.ID = i + 1
		r.Connections = append(r.Connections, c)
	}
	for i := range r.Timeline {
		if r.Timeline[i].Connection != 0 {
			r.Timeline[i].Connection = 2
		}
	}
	other := r.Timeline[1]
	other.Connection = 3
	r.Timeline = append(r.Timeline, other)
	r.Summary = map[string]int{"connections": 4, "reset": 2, "survived": 2, "hang": 0}
	r.Expectations = []verdict.Check{
		{Text: "every connection is reset", Verdict: verdict.Fail, Reason: "connections 1 and 3 survived"},
		{Text: "node1 shows no event", Verdict: verdict.Inconclusive, Reason: "7 conntrack events were lost"},
	}
	r.Lost = map[string]int{"conntrack": 7, "packet": 0}
	r.Missing = []string{"the kernel's stack at the RST: tracing needs root"}
	return r
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		result *result.Result
		o      TextOptions
	}{
		"article.txt":         {article(), TextOptions{}},
		"article-verbose.txt": {article(), TextOptions{Verbose: true}},
		"article-quiet.txt":   {article(), TextOptions{Quiet: true}},
		"article-color.txt":   {article(), TextOptions{Color: true}},
		"article-60.txt":      {article(), TextOptions{Width: 60}},
		"crowd.txt":           {crowd(), TextOptions{}},
		"crowd-verbose.txt":   {crowd(), TextOptions{Verbose: true}},
		"nothing.txt":         {&result.Result{Scenario: "x", Verdict: verdict.Inconclusive, Interrupted: true}, TextOptions{Verbose: true}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, render(t, c.result, c.o)) })
	}
}

// TestTextColours: colours reach the terminal as escape codes, each line begins and ends its own, and what others wrote
// brings none along.
func TestTextColours(t *testing.T) {
	r := article()
	r.Timeline[0].Text = "connect to \x1b[31m10.108.33.37:2222\x07"
	for verbose, want := range map[bool][]string{
		false: {
			"  \x1b[2m+0.010100\x1b[0m client   \x1b[36mconnect to �[31m10.108.33.37:2222�\x1b[0m\n",
			"  \x1b[2m+0.050200\x1b[0m master   \x1b[33m[DESTROY] tcp 6 86399 ESTABLISHED src=172.18.219.65 dst=10.108.33.37\x1b[0m\n" +
				strings.Repeat(" ", 23) + "\x1b[33msport=59468 dport=2222 src=172.18.166.131 dst=172.18.219.65 sport=2222\x1b[0m\n" +
				strings.Repeat(" ", 23) + "\x1b[33mdport=59468 [ASSURED]\x1b[0m\n",
			"  \x1b[2m+0.070000\x1b[0m client   \x1b[31msend: ECONNRESET (connection reset by peer)\x1b[0m\n",
		},
		true: {"\x1b[36mconnect to �[31m10.108.33.37:2222�\x1b[0m\n"},
	} {
		coloured := render(t, r, TextOptions{Color: true, Verbose: verbose})
		for _, line := range want {
			if !strings.Contains(coloured, line) {
				t.Errorf("verbose %v: not found: %q in\n%q", verbose, line, coloured)
			}
		}
		codes := regexp.MustCompile("\x1b\\[[0-9]+m")
		if bare := codes.ReplaceAllString(coloured, ""); bare != render(t, r, TextOptions{Verbose: verbose}) {
			t.Errorf("verbose %v: without its codes it is not the text without colours:\n%q", verbose, bare)
		}
	}
}

// TestTextHostile: whatever stands in a result, its text, its table of claims and its capture file's comments have no
// character that a terminal acts on but ctsim's own colours, and no line that is not ctsim's.
func TestTextHostile(t *testing.T) {
	const foreign = "\x1b[31mFOREIGN\nFORGED \u202e\x1b[2J\u009b8m\xff"
	r := told()
	everyString(reflect.ValueOf(r).Elem(), foreign)
	r.Verdict = verdict.Fail // no foreign text
	for _, o := range []TextOptions{{}, {Verbose: true}, {Quiet: true}, {Color: true, Verbose: true}} {
		for name, write := range map[string]func(io.Writer, *result.Result, TextOptions) error{"text": Text, "try": Try,
			"markdown": func(w io.Writer, r *result.Result, _ TextOptions) error {
				return Markdown(w, []*result.Result{r}, []Failure{{foreign, foreign, foreign}})
			}} {
			var b strings.Builder
			if err := write(&b, r, o); err != nil {
				t.Fatal(err)
			}
			out := b.String()
			if !strings.Contains(out, "FOREIGN") || strings.Contains(out, "\x1b[31mFOREIGN") {
				t.Errorf("%s, %+v: the foreign text's colour is on the page, or nothing of it:\n%q", name, o, out)
			}
			for _, style := range printable.Styles {
				if o.Color {
					out = strings.ReplaceAll(out, "\x1b["+style+"m", "")
				}
			}
			if !printable.IsText(out) || strings.Contains("\n"+out, "\nFORGED") {
				t.Errorf("%s, %+v: a character that is hidden, or a line that is forged:\n%q", name, o, out)
			}
		}
	}
}

// TestStylesPass: the door lets every style of ours pass.
func TestStylesPass(t *testing.T) {
	for _, s := range []style{bold, faint, red, green, yellow, cyan} {
		var b strings.Builder
		painted := newText(TextOptions{Color: true}).paint(s, "word")
		if err := show(&b, true, painted); err != nil || b.String() != painted {
			t.Errorf("%q becomes %q, %v", painted, b.String(), err)
		}
	}
}

// TestTextTellsTheLastBreak: of the losses of the entry that changed nothing only the number is told.
func TestTextTellsTheLastBreak(t *testing.T) {
	for breaks, want := range map[int]string{1: "", 2: "1 earlier loss of", 12: "11 earlier losses of"} {
		r := article()
		round := r.Timeline[5:9] // flush, DESTROY, send, NEW
		for range breaks - 1 {
			r.Timeline = slices.Insert(r.Timeline, 5, round...)
		}
		got := render(t, r, TextOptions{})
		if strings.Contains(got, "earlier") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%d breaks: want %q in\n%s", breaks, want, got)
		}
		if n := strings.Count(got, "[DESTROY]"); n != 1 {
			t.Errorf("%d breaks: %d of them told, want 1", breaks, n)
		}
	}
}

// TestTextColumns: all that is told stays within the width, colours or not.
func TestTextColumns(t *testing.T) {
	for _, width := range []int{40, 60, 100} {
		for _, colour := range []bool{false, true} {
			for line := range strings.Lines(render(t, article(), TextOptions{Width: width, Color: colour})) {
				line = strings.TrimSuffix(line, "\n")
				if columns(line) > width && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("width %d: %d columns: %s", width, columns(line), line)
				}
			}
		}
	}
}

// TestTextKeepsLinesOfConntrackWhole: where everything is shown they can be grepped, and stand beside those of a real
// node.
func TestTextKeepsLinesOfConntrackWhole(t *testing.T) {
	got := render(t, article(), TextOptions{Width: 40, Verbose: true})
	for _, o := range article().Timeline {
		if o.Source == "conntrack" && !strings.Contains(got, o.Text+"\n") {
			t.Errorf("not found: %s", o.Text)
		}
	}
}

// TestTextIsHarmless: a scenario file cannot write to the terminal what it likes.
func TestTextIsHarmless(t *testing.T) {
	r := article()
	evil := "a\x1b]0;title\x07b\r\nc\u009b2J"
	r.Scenario, r.Title, r.Reason, r.Cure, r.Service.Name = evil, evil, evil, evil, evil
	r.Cause, r.Missing = []string{evil}, []string{evil}
	r.Expectations[0].Text, r.Timeline[0].Text, r.Timeline[0].At, r.Timeline[0].Kind = evil, evil, evil, evil
	for _, o := range []TextOptions{{}, {Quiet: true}, {Verbose: true}} {
		if got := render(t, r, o); strings.ContainsAny(got, "\x1b\x07\r\u009b") {
			t.Errorf("%+v: control characters in %q", o, got)
		}
	}
}
