package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Status is a check's answer.
type Status string

// The answers.
const (
	OK      Status = "ok"
	Missing Status = "missing"
	// Unknown could not be asked: something it builds on is missing.
	Unknown Status = "unknown"
)

// Finding is what one check found.
type Finding struct {
	// Check is its name, "veth" for instance.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Needed is false if runs work without it, poorer by what For says.
	Needed bool `json:"needed"`
	// For is what ctsim needs it for.
	For string `json:"for"`
	// Error says why it is not ok, on one line; empty if it is.
	Error string `json:"error,omitempty"`
	// Mend is a command to paste; where none would help, a comment of the shell that says what would. Empty if the check
	// is ok or if what it builds on has to be mended first.
	Mend string `json:"mend,omitempty"`
}

// Report is what all checks found, in the order of the table.
type Report struct {
	// Root is true if the machine was examined as the real root, false in a user namespace or without any privilege.
	Root     bool      `json:"root"`
	Kernel   string    `json:"kernel"`
	Findings []Finding `json:"checks"`
}

// lacks are the findings of a status, needed ones or the others.
func (r Report) lacks(status Status, needed bool) []string {
	var names []string
	for _, f := range r.Findings {
		if f.Status == status && f.Needed == needed {
			names = append(names, f.Check)
		}
	}
	return names
}

// Verdict tells whether runs work: OK if nothing that they need is missing, Unknown if something needed could not be
// asked and nothing needed is known to be missing.
func (r Report) Verdict() Status {
	switch {
	case len(r.lacks(Missing, true)) > 0:
		return Missing
	case len(r.lacks(Unknown, true)) > 0:
		return Unknown
	}
	return OK
}

// Summary is the verdict as a sentence.
func (r Report) Summary() string {
	without := append(r.lacks(Missing, false), r.lacks(Unknown, false)...)
	switch r.Verdict() {
	case Missing:
		return "runs do not work here: " + strings.Join(r.lacks(Missing, true), ", ") + " missing"
	case Unknown:
		return "nobody knows whether runs work here: " + strings.Join(r.lacks(Unknown, true), ", ") + " could not be asked"
	}
	if len(without) > 0 {
		return "runs work here, without " + strings.Join(without, ", ")
	}
	return "runs work here, and nothing is missing"
}

// Text writes the report for a person: what runs need, then the rest, and the summary. Width is the number of columns.
func (r Report) Text(w io.Writer, width int) error {
	var b strings.Builder
	who := "as an ordinary user"
	if r.Root {
		who = "as root"
	}
	fmt.Fprintf(&b, "examined %s on Linux %s\n", who, r.Kernel)
	longest := 0
	for _, f := range r.Findings {
		longest = max(longest, len(f.Check))
	}
	for _, part := range []struct {
		title  string
		needed bool
	}{{"needed by every run", true}, {"optional", false}} {
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Needed == part.needed }) {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", part.title)
		for _, f := range r.Findings {
			if f.Needed == part.needed {
				f.write(&b, longest, width)
			}
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Finding) write(b *strings.Builder, longest, width int) {
	fmt.Fprintf(b, "  %-7s  %-*s  %s\n", f.Status, longest, f.Check, f.For)
	const indent = "           "
	if f.Error != "" {
		fmt.Fprintln(b, indent+wrap(f.Error, width-len(indent), "\n"+indent))
	}
	if f.Mend != "" {
		fmt.Fprintln(b, indent+"mend: "+f.Mend) // in one piece, to be pasted
	}
}

// wrap breaks a text at spaces into lines of at most width columns where it can.
func wrap(text string, width int, newline string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i > 0 && column+1+n > width:
			b.WriteString(newline)
			column = 0
		case i > 0:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
