package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// Markdown writes a table of claims: what each scenario claims, and what this kernel said to it. It can be pasted into
// a bug report; docs/claims.md is made by it.
func Markdown(w io.Writer, results []*result.Result, failures []Failure) error {
	var b strings.Builder
	b.WriteString("| claim | scenario | verdict | what was seen |\n|---|---|---|---|\n")
	for _, r := range results {
		seen := r.Reason
		if r.Verdict == verdict.Pass {
			seen = r.Happened
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", cell(r.Title), cell(r.Scenario), r.Verdict, cell(seen))
	}
	for _, f := range failures {
		fmt.Fprintf(&b, "|  | `%s` | not run | %s |\n", cell(f.Scenario), cell(f.Error))
	}
	if len(results) > 0 {
		user := "root"
		if results[0].Rootless {
			user = "an ordinary user, in a user namespace"
		}
		fmt.Fprintf(&b, "\nLinux %s, as %s, %s.\n", cell(results[0].Kernel), user, results[0].Started.UTC().Format("2006-01-02"))
	}
	return show(w, false, b.String())
}

// cell keeps a text within its cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(printable.Line(s))
}
