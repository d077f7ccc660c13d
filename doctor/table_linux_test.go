package doctor

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/doctor.md anew")

// TestDocument: docs/doctor.md has the table of the checks.
func TestDocument(t *testing.T) {
	const path, head = "../docs/doctor.md", "| check | needed | for | kernel modules |\n|---|---|---|---|\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), head)
	if !ok {
		t.Fatal("docs/doctor.md has no table of checks")
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	var rows []string
	for _, c := range checks {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", c.name,
			[]string{"", "yes", "without root"}[c.need], c.serves, strings.Join(c.modules, ", ")))
	}
	want := strings.Join(rows, "\n")
	if *update {
		if err := os.WriteFile(path, []byte(before+head+want+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("docs/doctor.md (-checks +document; `make golden` writes it anew):\n%s", diff)
	}
}

// TestTable: names are unique and plain words, and all is said.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks {
		if seen[c.name] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(c.name) {
			t.Errorf("%q: not a name, or used twice", c.name)
		}
		seen[c.name] = true
		if c.serves == "" || c.probe == nil {
			t.Errorf("%s: does nothing, or serves nothing", c.name)
		}
	}
}

// TestRulesAreCovered: every match and target of kube-proxy's rules has a check of its own.
func TestRulesAreCovered(t *testing.T) {
	files, err := os.ReadDir("../iptables/testdata")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile("../iptables/testdata/" + f.Name())
		if err != nil || !strings.HasSuffix(f.Name(), ".rules") {
			continue
		}
		for _, m := range regexp.MustCompile(`-m ([a-z]+)|-j ([A-Z]+)\b[^-]`).FindAllStringSubmatch(string(data), -1) {
			switch word := m[1] + m[2]; word {
			case "tcp", "udp", "ACCEPT", "DROP", "RETURN": // part of every iptables
			default:
				used[strings.ToLower(word)+map[bool]string{true: "-match", false: "-target"}[m[1] != ""]] = true
			}
		}
	}
	if len(used) < 6 {
		t.Fatalf("only %v found", used)
	}
	for name := range used {
		if !strings.Contains(strings.Join(Names(), " ")+" ", name+" ") {
			t.Errorf("kube-proxy's rules use the %s, and no check asks for it", strings.ReplaceAll(name, "-", " "))
		}
	}
}
