package doctor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		findings []Finding
		verdict  Status
		summary  string
	}{
		{nil, OK, "runs work here, and nothing is missing"},
		{[]Finding{{Check: "a", Status: OK, Needed: true}, {Check: "b", Status: Missing}}, OK, "runs work here, without b"},
		{[]Finding{{Check: "a", Status: Unknown}, {Check: "b", Status: OK}}, OK, "runs work here, without a"},
		{[]Finding{{Check: "a", Status: OK, Needed: true}, {Check: "b", Status: OK}}, OK, "runs work here, and nothing is missing"},
		{[]Finding{{Check: "a", Status: Unknown, Needed: true}}, Unknown, "nobody knows whether runs work here: a could not be asked"},
		{[]Finding{{Check: "a", Status: Unknown, Needed: true}, {Check: "b", Status: Missing, Needed: true}, {Check: "c", Status: Missing, Needed: true}},
			Missing, "runs do not work here: b, c missing"},
	} {
		r := Report{Findings: c.findings}
		if r.Verdict() != c.verdict || r.Summary() != c.summary {
			t.Errorf("%+v: %s, %s", c.findings, r.Verdict(), r.Summary())
		}
	}
}

func TestText(t *testing.T) {
	r := Report{Kernel: "6.18.0", Findings: []Finding{
		{Check: "iptables", Status: Missing, Needed: true, For: "rules", Error: "one two three four five six seven eight", Mend: "sudo apt-get install iptables"},
		{Check: "veth", Status: OK, Needed: true, For: "links"},
		{Check: "bpf", Status: Unknown, For: "the trace", Error: "could not be asked without btf"},
	}}
	const want = `examined as an ordinary user on Linux 6.18.0

needed by every run
  missing  iptables  rules
           one two three four five six
           seven eight
           mend: sudo apt-get install iptables
  ok       veth      links

optional
  unknown  bpf       the trace
           could not be asked without
           btf

runs do not work here: iptables missing
`
	var b strings.Builder
	if err := r.Text(&b, 40); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
