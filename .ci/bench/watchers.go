package main

import (
	"errors"
	"fmt"
	"os/exec"
	"text/tabwriter"
	"time"
)

// sources are what `ctsim run --watch` can be told, none first: what the others are held against.
var sources = []string{"none", "conntrack", "packet", "rule", "kernel", "socket", "all"}

// inconclusive is the exit code of a run whose outcome cannot be told, for want of a watcher.
const inconclusive = 4

// watchers times a run without watchers, with each alone and with all, in turns, so that a round meets the same machine.
func watchers(out *tabwriter.Writer, rounds int, ctsim, file string) error {
	took := map[string][]time.Duration{}
	for i := range rounds + 1 {
		for j := range sources {
			source := sources[(i+j)%len(sources)]
			d, _, err := run(ctsim, "run", "--file", file, "--watch", source, "--output", "json")
			var exit *exec.ExitError
			if err != nil && !(source != "all" && errors.As(err, &exit) && exit.ExitCode() == inconclusive) {
				return err
			}
			if i > 0 { // the first round reads from disk
				took[source] = append(took[source], d)
			}
		}
	}
	fmt.Fprintf(out, "\nwatchers, %d rounds\tmin\tmedian\tmax\n", rounds)
	for _, source := range sources {
		row(out, "ctsim run --watch "+source, took[source], milliseconds)
	}
	fmt.Fprintf(out, "\nwith / without watchers, round by round\tmin\tmedian\tmax\n")
	for _, source := range sources[1:] {
		var pairs []pair
		for i := range took[source] {
			pairs = append(pairs, pair{took[source][i], took["none"][i]})
		}
		row(out, source, ratios(pairs), func(r float64) string { return fmt.Sprintf("%.2f", r) })
	}
	return nil
}
