package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// TestManual: the page names every command, its usage and every flag.
func TestManual(t *testing.T) {
	text := manual(newApp(cmdline.NewCall(nil, nil, io.Discard, io.Discard)))
	plain := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\(dq`, `"`, `\(ga`, "`").Replace(text)
	everyCommand(func(path []string, c *cli.Command) {
		_, section, ok := strings.Cut(plain, "\n.SS \"ctsim "+strings.Join(path, " "))
		if !ok {
			t.Errorf("%v has no section", path)
			return
		}
		section, _, _ = strings.Cut(section, "\n.SS ")
		if !strings.Contains(strings.ToLower(section), strings.ToLower(c.Usage)) {
			t.Errorf("%v: the usage is missing", path)
		}
		for _, f := range c.Flags {
			if !strings.Contains(section, "--"+f.Names()[0]) {
				t.Errorf("%v: --%s is missing", path, f.Names()[0])
			}
		}
	})
	if strings.Contains(text, "__complete") {
		t.Error("a hidden command is shown")
	}
	for _, want := range []string{"\n.SH \"EXIT STATUS\"\n0 as expected", "\n.SH \"SEE ALSO\"\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("no groff to read it with")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-Kutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

// TestEscapes: nothing that help says is taken for a request.
func TestEscapes(t *testing.T) {
	var p page
	p.text(".so /etc/passwd")
	p.text(`'\n "quoted" -x`)
	p.macro("B", `a "b" \c`)
	want := "\\&.so /etc/passwd\n\\(aq\\en \"quoted\" \\-x\n.B \"a \\(dqb\\(dq \\ec\"\n"
	if p.String() != want {
		t.Errorf("got %q\nwant %q", p.String(), want)
	}
}
