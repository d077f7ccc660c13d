package docs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// fields are the JSON names of a struct's fields.
func fields(of reflect.Type) (names []string) {
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// tabled are the names in the first column of the table below a heading.
func tabled(document, heading string) (names []string) {
	_, section, _ := strings.Cut(document, "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		names = append(names, m[1])
	}
	return names
}

// TestJSONFields: json.md has each field of the document, in the order of the code, and no other.
func TestJSONFields(t *testing.T) {
	document := read(t, "json.md")
	for heading, of := range map[string]reflect.Type{
		"## The document":                    reflect.TypeFor[result.Result](),
		"## account":                         reflect.TypeFor[account.Sentence](),
		"## service":                         reflect.TypeFor[result.Service](),
		"## connections":                     reflect.TypeFor[account.Connection](),
		"## client_socket and server_socket": reflect.TypeFor[account.SocketSettings](),
		"## balance":                         reflect.TypeFor[account.Item](),
		"## programs":                        reflect.TypeFor[result.ProgramRun](),
		"## expectations":                    reflect.TypeFor[verdict.Check](),
		"## share":                           reflect.TypeFor[verdict.Share](),
		"## world":                           reflect.TypeFor[evidence.Place](),
		"## entries":                         reflect.TypeFor[account.Entry](),
		"## rules":                           reflect.TypeFor[account.RuleCount](),
		"## timeline":                        reflect.TypeFor[evidence.Observation](),
		"## step":                            reflect.TypeFor[evidence.StepFacts](),
		"## exec":                            reflect.TypeFor[evidence.ExecFacts](),
		"## call":                            reflect.TypeFor[evidence.CallFacts](),
		"## output":                          reflect.TypeFor[evidence.OutputFacts](),
		"## entry":                           reflect.TypeFor[evidence.EntryFacts](),
		"## original and reply":              reflect.TypeFor[evidence.TupleFacts](),
		"## packet":                          reflect.TypeFor[evidence.PacketFacts](),
		"## icmp":                            reflect.TypeFor[evidence.ICMPFacts](),
		"## path":                            reflect.TypeFor[evidence.PathFacts](),
		"## hops":                            reflect.TypeFor[evidence.HopFacts](),
		"## kernel_event":                    reflect.TypeFor[evidence.KernelFacts](),
		"## stack":                           reflect.TypeFor[evidence.FrameFacts](),
		"## socket":                          reflect.TypeFor[evidence.SocketFacts](),
		"## phases":                          reflect.TypeFor[evidence.Phase](),
	} {
		if diff := cmp.Diff(fields(of), tabled(document, heading)); diff != "" {
			t.Errorf("json.md, %s (-code +document):\n%s", heading, diff)
		}
	}
	var around map[string]any
	var text strings.Builder
	failure := report.FailureOf("a", &build.Unsupported{What: "b", Hint: "c", Err: errors.New("d")})
	if err := report.JSONRuns(&text, nil, []report.Failure{failure}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text.String()), &around); err != nil {
		t.Fatal(err)
	}
	documented := tabled(document, "## Several scenarios")
	for name := range around {
		if !slices.Contains(documented, name) {
			t.Errorf("json.md, several scenarios: %s is missing", name)
		}
	}
	if len(documented) != len(around) {
		t.Errorf("json.md, several scenarios: documented are %v, there are %d", documented, len(around))
	}
	_, lines, _ := strings.Cut(document, "\n## Lines\n")
	for _, name := range fields(reflect.TypeFor[report.Failure]()) {
		if !strings.Contains(lines, "`"+name+"`") {
			t.Errorf("json.md, lines: %s of a failure is missing", name)
		}
	}
	if want := fmt.Sprintf("`schema` is %d.", result.SchemaVersion); !strings.Contains(document, want) {
		t.Errorf("json.md does not say: %s", want)
	}
}

// TestJSONExample: the example of json.md is a Result, complete but for entries of its lists.
func TestJSONExample(t *testing.T) {
	if *update {
		writeExample(t)
	}
	blocks, _ := split(read(t, "json.md"))
	i := slices.IndexFunc(blocks, func(b block) bool { return b.language == "json" })
	if i < 0 {
		t.Fatal("json.md has no example")
	}
	decoder := json.NewDecoder(strings.NewReader(strings.Join(blocks[i].lines, "\n")))
	decoder.DisallowUnknownFields()
	var example result.Result
	if err := decoder.Decode(&example); err != nil {
		t.Fatal(err)
	}
	for _, s := range example.Account {
		if len(s.Facts) == 0 || slices.Max(s.Facts) >= len(example.Timeline) {
			t.Errorf("json.md: in the example %q rests on %v", s.Text, s.Facts)
		}
	}
	for _, item := range example.Connections[0].Balance {
		if len(item.Facts) == 0 || slices.Max(item.Facts) >= len(example.Timeline) {
			t.Errorf("json.md: in the example %q rests on %v", item.Text, item.Facts)
		}
	}
	if len(example.Account) == 0 || example.Schema != result.SchemaVersion || len(example.Connections) == 0 || len(example.Timeline) == 0 {
		t.Errorf("json.md: the example lacks schema, connections or timeline")
	}
}

// writeExample puts a run into json.md, with the telling entries of its long lists.
func writeExample(t *testing.T) {
	var r result.Result
	ctsim := built(t)
	for r.Connections == nil || r.Connections[0].Breaks != 1 {
		text, code := said(t, "", ctsim, "run", "flush-multi-backend", "--output", "json")
		if code != 0 {
			t.Fatalf("exit code %d:\n%s", code, text)
		}
		r = result.Result{}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
	}
	r.Cause, r.Account, r.Expectations = r.Cause[:2], r.Account[:2], r.Expectations[:2]
	keepTelling(&r)
	var text strings.Builder
	if err := report.JSON(&text, &r); err != nil {
		t.Fatal(err)
	}
	document := read(t, "json.md")
	before, rest, _ := strings.Cut(document, "```json\n")
	_, after, _ := strings.Cut(rest, "```")
	document = before + "```json\n" + text.String() + "```" + after
	if err := os.WriteFile("json.md", []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keepTelling leaves out what the example can do without; the account's sentences and the items that
// decide keep what they rest on.
func keepTelling(r *result.Result) {
	balance := slices.DeleteFunc(r.Connections[0].Balance, func(item account.Item) bool { return !item.Decides })
	r.Connections[0].Balance = balance
	var kept []evidence.Observation
	place := map[int]int{}
	for i, o := range r.Timeline {
		rests := slices.ContainsFunc(r.Account, func(s account.Sentence) bool { return slices.Contains(s.Facts, i) }) ||
			slices.ContainsFunc(balance, func(item account.Item) bool { return slices.Contains(item.Facts, i) })
		tells := o.Source == "client" || o.Source == "conntrack" && o.At == "master" && o.Kind == "DESTROY" ||
			o.Source == "packet" && o.At == "client" && o.Kind == "RST" || o.Source == "kernel" && o.Kind == "tcp_send_reset"
		if rests || tells {
			place[i] = len(kept)
			kept = append(kept, o)
		}
	}
	r.Timeline = kept
	for _, s := range r.Account {
		for i := range s.Facts {
			s.Facts[i] = place[s.Facts[i]]
		}
	}
	for _, item := range balance {
		for i := range item.Facts {
			item.Facts[i] = place[item.Facts[i]]
		}
	}
}
