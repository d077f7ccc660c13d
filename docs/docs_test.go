// Package docs_test holds the documents to what is there: links lead somewhere, commands and fields exist, transcripts
// are what ctsim prints.
package docs_test

import (
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/kube"
)

var update = flag.Bool("update", false, "write the transcripts of README.md and the example of json.md anew")

const root = ".." // of the repository

// documents are all of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	here, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	return append(top, here...)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block is one fenced block of a document: the word after the fence, and the lines between.
type block struct {
	language string
	lines    []string
}

// split gives a document's fenced blocks and the text outside of them.
func split(document string) (blocks []block, text string) {
	var inside *block
	var outside []string
	for line := range strings.Lines(document) {
		line = strings.TrimSuffix(line, "\n")
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && inside == nil:
			inside = &block{language: language}
		case fence:
			blocks = append(blocks, *inside)
			inside = nil
		case inside != nil:
			inside.lines = append(inside.lines, line)
		default:
			outside = append(outside, line)
		}
	}
	return blocks, strings.Join(outside, "\n")
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the fragments that a document's headings make.
func anchors(document string) []string {
	_, text := split(document)
	var all []string
	for _, m := range headingPattern.FindAllStringSubmatch(text, -1) {
		a := notInAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(a, " ", "-"))
	}
	return all
}

func TestLinks(t *testing.T) {
	for _, path := range documents(t) {
		_, text := split(read(t, path))
		for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
			file, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
				continue
			}
			if fragment != "" && !slices.Contains(anchors(read(t, target)), fragment) {
				t.Errorf("%s: link to %s: no such heading", path, m[1])
			}
		}
	}
}

// TestMakeTargets: every `make X` that a document names is in the Makefile.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, filepath.Join(root, "Makefile"))
	for _, path := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z]+)").FindAllStringSubmatch(read(t, path), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which does not exist", path, m[1])
			}
		}
	}
}

var requirePattern = regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9.]+/\S+) v\S+( // indirect)?$`)

// TestLibraries: libraries.md gives a reason for each module that go.mod requires directly, and for none that it lacks.
func TestLibraries(t *testing.T) {
	var explained, required []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(read(t, "libraries.md"), -1) {
		explained = append(explained, m[1])
	}
	for _, m := range requirePattern.FindAllStringSubmatch(read(t, filepath.Join(root, "go.mod")), -1) {
		required = append(required, m[1])
		if m[2] == "" && !slices.Contains(explained, m[1]) {
			t.Errorf("libraries.md does not say what %s is for", m[1])
		}
	}
	for _, module := range explained {
		if !slices.Contains(required, module) {
			t.Errorf("libraries.md explains %s, which go.mod does not require", module)
		}
	}
}

// TestBenchScript: the rules of the benchmark's script are those that ctsim installs.
func TestBenchScript(t *testing.T) {
	script := read(t, filepath.Join(root, ".ci", "bench", "flush-multi-backend.sh"))
	_, rules, _ := strings.Cut(script, "<<'RULES'\n")
	rules, _, ok := strings.Cut(rules, "RULES\n")
	if !ok {
		t.Fatal("the script has no rules between RULES and RULES")
	}
	service := kube.Service{
		Namespace: "default", Name: "myservice", Port: 2222, ClusterIP: netip.MustParseAddr("10.108.33.37"),
		Endpoints: []netip.AddrPort{
			netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("172.18.166.131:2222"),
		},
	}
	set := iptables.Rules(kube.ProxyConfig{ClusterCIDR: netip.MustParsePrefix("172.18.0.0/16")}, service)
	var want []string
	for line := range strings.Lines(set.Save()) {
		if !strings.Contains(line, " ACCEPT [") { // built-in chains are there already
			want = append(want, line)
		}
	}
	if diff := cmp.Diff(strings.Join(want, ""), rules); diff != "" {
		t.Errorf("the script's rules (-ctsim +script):\n%s", diff)
	}
}

// TestSecurityNamesTests: every test that security.md says shows something is there, and every row of what was tried names
// one.
func TestSecurityNamesTests(t *testing.T) {
	page := read(t, "security.md")
	known := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".txtar"):
			known[filepath.Base(path)] = true
		case strings.HasSuffix(path, "_test.go"):
			for _, name := range testFunction.FindAllStringSubmatch(read(t, path), -1) {
				known[name[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range unshown(page, known) {
		t.Error(wrong)
	}
	if got := unshown("| attack | tried | survived |\n|---|---|---|\n| a | b | c |\n| a | b | `TestGone` |\n", known); len(got) != 2 {
		t.Errorf("the test itself finds %q", got)
	}
}

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)\\w+|[a-z-]+\\.txtar)`")
)

// unshown is what is wrong with a page's tables of what was tried.
func unshown(page string, known map[string]bool) (wrong []string) {
	inTable := false
	for line := range strings.Lines(page) {
		names := namedTest.FindAllStringSubmatch(line, -1)
		for _, name := range names {
			if !known[name[1]] {
				wrong = append(wrong, "there is no "+name[1])
			}
		}
		if inTable = strings.HasPrefix(line, "| attack |") || inTable && strings.HasPrefix(line, "|"); inTable && len(names) == 0 &&
			!strings.HasPrefix(line, "| attack |") && !strings.HasPrefix(line, "|-") {
			wrong = append(wrong, "no test shows it: "+line)
		}
	}
	return wrong
}
