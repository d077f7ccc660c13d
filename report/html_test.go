package report

import (
	order "cmp"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
)

func rendered(t testing.TB, r *result.Result) string {
	t.Helper()
	var b strings.Builder
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// body is a page without its style and script, which say nothing about the run.
func body(page string) string {
	page = strings.ReplaceAll(page, pageStyle, "")
	page = strings.ReplaceAll(page, pageScript, "")
	return regexp.MustCompile(`'sha256-[^']*'`).ReplaceAllString(page, "HASH")
}

// told is the article's run with all that a page shows: packets hop by hop, entries, rules, the kernel, sockets.
func told() *result.Result {
	r := article()
	r.Example = 1
	r.World = []evidence.Place{
		{Name: "client", Kind: "pod", Role: "client", Address: "172.18.219.65", Node: "master"},
		{Name: "master", Kind: "node", Address: "192.168.122.20"},
		{Name: "node1", Kind: "node", Address: "192.168.122.21"},
		{Name: "server-1", Kind: "pod", Role: "server", Address: "172.18.166.130", Node: "node1"},
		{Name: "server-2", Kind: "pod", Role: "server", Address: "172.18.166.131", Node: "node1"},
	}
	const client, service, server1, server2 = "172.18.219.65:59468", "10.108.33.37:2222", "172.18.166.130:2222", "172.18.166.131:2222"
	line := func(rest, pod string) string { return "tcp      6 " + rest + tuple + " src=" + pod + replyFrom }
	ended, reset := 0.0502, 0.06021
	r.Entries = []account.Entry{
		{Node: "master", Backend: "server-2", First: line("120 SYN_SENT ", "172.18.166.131"), Last: line("86399 ESTABLISHED ", "172.18.166.131") + " [ASSURED]",
			FirstEntry: entryOf("NEW", "SYN_SENT", 120, "172.18.166.131", false, ""), LastEntry: entryOf("DESTROY", "ESTABLISHED", 86399, "172.18.166.131", true, "caller"),
			Made: 0.0102, Ended: &ended, By: "flushed by ctsim"},
		{Node: "master", Backend: "server-1", First: line("300 ESTABLISHED ", "172.18.166.130"), Last: line("300 CLOSE ", "172.18.166.130"),
			FirstEntry: entryOf("NEW", "ESTABLISHED", 300, "172.18.166.130", false, ""), LastEntry: entryOf("DESTROY", "CLOSE", 300, "172.18.166.130", false, "rst"),
			Made: 0.0601, Ended: &reset, By: "ended by a RST"},
	}
	for _, e := range r.Entries { // as their lines have it
		e.FirstEntry.Unreplied, e.LastEntry.Unreplied = false, false
	}
	r.Rules = []account.RuleCount{
		{Node: "master", Table: "filter", Chain: "FORWARD", Rule: "-j KUBE-FORWARD", Before: 5, Packets: 7},
		{Node: "master", Table: "nat", Chain: "KUBE-SEP-2", Decides: true, Rule: "-j DNAT --to-destination " + server2, Before: 1, Packets: 1},
		{Node: "master", Table: "nat", Chain: "KUBE-SEP-1", Decides: true, Rule: "-j DNAT --to-destination " + server1, Packets: 1},
	}
	var timeline []evidence.Observation
	for _, o := range r.Timeline {
		if o.Source != "packet" && o.Source != "rule" {
			timeline = append(timeline, o)
		}
	}
	way := func(t float64, number int, kind, flags, comment string, hops ...string) {
		for i, hop := range hops {
			w := strings.Fields(hop)
			f := &evidence.PacketFacts{Journey: number, Direction: w[1], Protocol: "TCP", Src: w[2], Dst: w[3], Flags: flags, Seq: 11, Ack: 1, Length: 10}
			if i == len(hops)-1 {
				f.Comment = comment
			}
			timeline = append(timeline, evidence.Observation{T: t + float64(i)*1e-5, Source: "packet", At: w[0], Kind: kind, Connection: 1, Packet: f,
				Text: w[1] + " " + w[2] + " > " + w[3] + " [" + flags + "]"})
		}
	}
	way(0.0100, 1, "SYN", "S", "", "client out "+client+" "+service, "master out "+client+" "+server2, "node1 in "+client+" "+server2, "server-2 in "+client+" "+server2)
	way(0.0600, 2, "packet", "P.", "", "client out "+client+" "+service, "master out "+client+" "+server1, "node1 in "+client+" "+server1, "server-1 in "+client+" "+server1)
	way(0.0602, 3, "RST", "R", "RST: reaches client as if the service had sent it", "server-1 out "+server1+" "+client, "node1 out "+server1+" "+client, "master in "+server1+" "+client, "client in "+service+" "+client)
	see := func(t float64, source, at, kind, text string, detail ...string) evidence.Observation {
		return evidence.Observation{T: t, Source: source, At: at, Kind: kind, Text: text, Connection: 1, Detail: detail}
	}
	look := func(t float64, at, side, state string) evidence.Observation {
		o := see(t, "socket", at, state, "tcp 0 0 "+state+" off (0.00/0/0)")
		o.Socket = &evidence.SocketFacts{Side: side, State: state, Timer: "off (0.00/0/0)", TimerKind: "off"}
		return o
	}
	path := see(0.06005, "rule", "master", "NEW", client+" → "+service+" [P.] NEW: nat PREROUTING → KUBE-SERVICES; filter FORWARD",
		`nat PREROUTING rule: -m comment --comment "kubernetes service portals" -j KUBE-SERVICES → KUBE-SERVICES`, "filter FORWARD policy → ACCEPT")
	path.Within, path.Unordered = 2e-5, true
	path.Path = &evidence.PathFacts{Protocol: "TCP", Src: client, Dst: service, Flags: "P.", State: "NEW", Verdict: "ACCEPT", Hops: []evidence.HopFacts{
		{Table: "nat", Chain: "PREROUTING", Kind: "rule", Rule: `-m comment --comment "kubernetes service portals" -j KUBE-SERVICES`, Verdict: "JUMP", Target: "KUBE-SERVICES"},
		{Table: "filter", Chain: "FORWARD", Kind: "policy", Verdict: "ACCEPT"}}}
	known := see(0.0450, "rule", "master", "ESTABLISHED", client+" → "+service+" [P.] ESTABLISHED: filter FORWARD → KUBE-FORWARD", "filter FORWARD rule: -j KUBE-FORWARD → KUBE-FORWARD")
	known.Path = &evidence.PathFacts{Protocol: "TCP", Src: client, Dst: service, Flags: "P.", State: "ESTABLISHED", Verdict: "JUMP", Hops: []evidence.HopFacts{
		{Table: "filter", Chain: "FORWARD", Kind: "rule", Rule: "-j KUBE-FORWARD", Verdict: "JUMP", Target: "KUBE-FORWARD"}}}
	sent := see(0.06019, "kernel", "server-1", "tcp_send_reset", "tcp_send_reset state=LISTEN reason=TCP_FLAGS for "+client+" > "+server1+"  tcp_v4_rcv → tcp_v4_do_rcv → tcp_v4_send_reset",
		"tcp_v4_send_reset", "tcp_v4_do_rcv", "tcp_v4_rcv", "ip_local_deliver_finish")
	sent.KernelEvent = &evidence.KernelFacts{Tracepoint: "tcp:tcp_send_reset", State: "LISTEN", Reason: "TCP_FLAGS", Src: client, Dst: server1, OfPacket: true,
		Functions: []string{"tcp_v4_rcv", "tcp_v4_do_rcv", "tcp_v4_send_reset"}, Stack: []evidence.FrameFacts{{Function: "tcp_v4_send_reset", Telling: true},
			{Function: "tcp_v4_do_rcv", Telling: true}, {Function: "tcp_v4_rcv", Telling: true}, {Function: "ip_local_deliver_finish"}}}
	timeline = append(timeline, known,
		path, look(0.0105, "client", "client", "ESTABLISHED"), look(0.0405, "client", "client", "ESTABLISHED"), look(0.0701, "client", "client", "CLOSE"),
		sent)
	sortByTime(timeline)
	r.Timeline = timeline
	return r
}

func TestHTML(t *testing.T) {
	golden(t, "article.html", body(rendered(t, told())))
}

// TestHTMLSparse holds that a page is made of whatever there is: a run that could see little, or ended at once.
func TestHTMLSparse(t *testing.T) {
	for name, r := range map[string]*result.Result{
		"empty": {}, "article": article(), "crowd": crowd(),
		"unknown source":   {Timeline: []evidence.Observation{{Source: `x" onclick="alert(1)`, At: "nowhere", Text: "?"}}},
		"packet, no facts": {Timeline: []evidence.Observation{{Source: "packet", At: "client", Text: "?"}}},
		"socket, no facts": {Timeline: []evidence.Observation{{Source: "socket", At: "client", Text: "?"}}},
		"entry, no line":   {Entries: []account.Entry{{Node: "master", Backend: "server-1", First: "?", Last: ""}, {Node: "master", Backend: "server-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			page := rendered(t, r)
			for _, want := range []string{"<!doctype html>", `<main id="main"`, "What was not observed", "</html>"} {
				if !strings.Contains(page, want) {
					t.Errorf("%q is missing", want)
				}
			}
			if strings.Contains(page, "onclick=\"alert") {
				t.Error("a text became an attribute")
			}
		})
	}
}

// everyString puts s into every string of a result, those of its nodes and pods too.
func everyString(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			everyString(v.Elem(), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			everyString(v.Index(i), s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Source" && f.Type.Kind() != reflect.Map {
				everyString(v.Field(i), s)
			}
		}
	}
}

// hostile are texts that an application, a scenario file or a kernel might hand over.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style><script>alert(1)</script>`, `' onmouseover='alert(1)`,
	"\u202Etxt.exe\u2066", "\x00\x1b[31m\x7f", "\xff\xfe", `{{.Scenario}}`, "${alert(1)}", "</title><svg onload=alert(1)>", "javascript:alert(1)",
	"=1+1|cmd", strings.Repeat("a", 10000), "tcp 6 =src= src= [ src=[NEW", "]]>", "<!--", "--!>",
}

func TestHTMLHostile(t *testing.T) {
	for _, s := range hostile {
		t.Run(fmt.Sprintf("%.20q", s), func(t *testing.T) { checkHostile(t, s) })
	}
}

func FuzzHTML(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkHostile(t, s) })
}

// checkHostile holds that a text stays a text wherever it stands: the page has the same elements as with a harmless one.
func checkHostile(t *testing.T, s string) {
	t.Helper()
	r := told()
	everyString(reflect.ValueOf(r).Elem(), "<x-hostile>\""+s)
	page := rendered(t, r)
	if strings.Contains(page, "<x-hostile") {
		t.Error("a text was not escaped")
	}
	for tag, want := range map[string]int{"<script": 1, "</script": 1, "<style": 1, "</style": 1, "<img": 0, "<iframe": 0, "<!--": 0} {
		// The style and script are not counted: they are ours.
		if n := strings.Count(strings.ToLower(body(page)), tag); n != want {
			t.Errorf("%d %s, want %d", n, tag, want)
		}
	}
	for _, c := range "\u202E\u2066\x00\x1b\x7f" {
		if strings.ContainsRune(page, c) {
			t.Errorf("%q is in the page", c)
		}
	}
	if !strings.Contains(page, "&lt;x-hostile&gt;") {
		t.Error("the text is not shown")
	}
}

// TestHTMLAlone holds that the page needs nothing but itself.
func TestHTMLAlone(t *testing.T) {
	page := rendered(t, told())
	for _, bad := range []string{"http://", "https://", "//cdn", "@import", "url(h", "src=\"", "innerHTML", "document.write", "eval(", " style=\""} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(page, "default-src &#39;none&#39;") {
		t.Error("the page may load things")
	}
}

// TestHTMLLarge holds that a page of a large run is no larger than a person can use.
func TestHTMLLarge(t *testing.T) {
	r := told()
	for id := 2; id <= 1000; id++ {
		c := r.Connections[0]
		c.ID = id
		r.Connections = append(r.Connections, c)
	}
	for i := range 50_000 {
		o := r.Timeline[i%len(r.Timeline)]
		o.Connection, o.T = 1+i%1000, 1+float64(i)*1e-4
		if i%50 == 0 {
			o = evidence.Observation{Source: "step", Kind: "send", Text: fmt.Sprintf("step %d", i), T: o.T}
		}
		r.Timeline = append(r.Timeline, o)
	}
	page := rendered(t, r)
	if n := strings.Count(page, `<li class="row`); n > maxRows+1 {
		t.Errorf("%d rows", n)
	}
	if len(page) > 4<<20 {
		t.Errorf("%d bytes", len(page))
	}
	if !strings.Contains(page, "1000 connections") {
		t.Error("the connections are not counted")
	}
}

func sortByTime(all []evidence.Observation) {
	slices.SortStableFunc(all, func(a, b evidence.Observation) int { return order.Compare(a.T, b.T) })
}

// TestPrintable holds that the result itself is left alone, and nothing is lost but what a page does not show.
func TestPrintable(t *testing.T) {
	r := told()
	if diff := cmp.Diff(told(), printableResult(r)); diff != "" {
		t.Errorf("harmless texts were changed (-want +got):\n%s", diff)
	}
	r.Scenario = "\x1b"
	printableResult(r)
	if r.Scenario != "\x1b" {
		t.Error("the result was changed")
	}
}

// recorded are runs as `ctsim run NAME --output json` wrote them on a real kernel, by name.
func recorded(t *testing.T) map[string]*result.Result {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "runs", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded runs: %v", err)
	}
	out := map[string]*result.Result{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r result.Result
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".json")] = &r
	}
	return out
}

// TestHTMLRecorded holds what the pages of real runs say, without how they look.
func TestHTMLRecorded(t *testing.T) {
	for name, r := range recorded(t) {
		t.Run(name, func(t *testing.T) { golden(t, filepath.Join("runs", name+".txt"), words(body(rendered(t, r)))) })
	}
}

var (
	blocks = regexp.MustCompile(`</(li|tr|h[1-6]|p|summary|div|pre|title|text|dl)>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`[ \t]+`)
)

// words is the text of a page, a line for each paragraph, row or list item.
func words(page string) string {
	page = strings.ReplaceAll(page, "\n", " ")
	page = blocks.ReplaceAllString(page, "\n")
	page = html.UnescapeString(tags.ReplaceAllString(page, " "))
	var out []string
	for line := range strings.SplitSeq(page, "\n") {
		if line = strings.TrimSpace(spaces.ReplaceAllString(line, " ")); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n") + "\n"
}
