package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario/result"
)

// output writes the reports of a batch: reports to stdout, scenarios without one to stderr.
type output struct {
	inv    *invocation
	status *status
	format string
	// asked is the number of scenarios asked for: a document for one is not a document for several.
	asked, written int
	text           report.TextOptions
	lines          *report.Lines
}

func (inv *invocation) newOutput(flags runFlags, asked int, status *status) *output {
	o := &output{inv: inv, status: status, format: flags.format, asked: asked}
	o.text = inv.textOptions(flags)
	if flags.format == "jsonl" {
		o.lines = report.NewLines(inv.Stdout)
	}
	return o
}

// textOptions is how text is written to stdout.
func (inv *invocation) textOptions(flags runFlags) report.TextOptions {
	o := report.TextOptions{Color: inv.Coloured(flags.color), Verbose: flags.verbose, Quiet: flags.quiet}
	if columns, ok := cmdline.TerminalWidth(inv.Stdout); ok {
		o.Width = max(40, min(columns, report.DefaultWidth))
	}
	return o
}

// observer is what a running scenario tells its observations to; nil if nobody wants them before the end.
func (o *output) observer(name string) func(evidence.Observation) {
	if o.lines == nil {
		return nil
	}
	return func(seen evidence.Observation) {
		// A reader that went away ends the process by SIGPIPE; any other error ends the run.
		_ = o.lines.Observation(name, seen)
	}
}

// outcome writes what became of one scenario, as far as it need not wait for the others.
func (o *output) outcome(one outcome) (err error) {
	o.status.above(func() {
		if one.err != nil {
			err = o.failure(one)
			return
		}
		switch o.format {
		case "text":
			if o.written > 0 && !o.text.Quiet {
				fmt.Fprintf(o.inv.Stdout, "\n%s\n\n", strings.Repeat("─", 20))
			}
			err = report.Text(o.inv.Stdout.Painted(), one.result, o.text)
		case "jsonl":
			err = o.lines.Result(one.result)
		}
		o.written++
	})
	return err
}

// failure says why there is no report of a scenario. Nothing is said of those that a signal ended.
func (o *output) failure(one outcome) error {
	f := report.FailureOf(one.name, one.err)
	if !errors.As(one.err, new(cmdline.Interruption)) {
		o.inv.Complain(f.Scenario+": "+f.Error, f.Hint)
	}
	if o.format == "jsonl" {
		return o.lines.Failure(f)
	}
	return nil
}

// end writes what had to wait for all scenarios.
func (o *output) end(outcomes []outcome) (err error) {
	o.status.above(func() {
		switch {
		case o.format == "json" || o.format == "markdown":
			err = o.document(outcomes)
		case o.format == "text" && o.asked > 1:
			_, err = fmt.Fprintf(o.inv.Stdout, "\n%s\n", tally(outcomes))
		}
	})
	return err
}

func (o *output) document(outcomes []outcome) error {
	var results []*result.Result
	var failures []report.Failure
	for _, one := range outcomes {
		if one.err != nil {
			failures = append(failures, report.FailureOf(one.name, one.err))
			continue
		}
		results = append(results, one.result)
	}
	if o.format == "markdown" {
		return report.Markdown(o.inv.Stdout, results, failures)
	}
	if o.asked > 1 {
		return report.JSONRuns(o.inv.Stdout, results, failures)
	}
	if len(results) == 1 {
		return report.JSON(o.inv.Stdout, results[0])
	}
	return nil // one scenario, not run: there is no result to write
}

// tally is one line: how many scenarios ended how.
func tally(outcomes []outcome) string {
	counts := map[string]int{}
	for _, one := range outcomes {
		switch {
		case one.err == nil:
			counts[string(one.result.Verdict)]++
		case errors.As(one.err, new(cmdline.Interruption)):
			counts["interrupted"]++
		default:
			counts["not run"]++
		}
	}
	var parts []string
	for _, word := range []string{"pass", "fail", "inconclusive", "not run", "interrupted"} {
		if n := counts[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	return counted(len(outcomes), "scenario") + ": " + strings.Join(parts, ", ")
}
