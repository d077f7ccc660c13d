// Bench times `ctsim run flush-multi-backend` against the same work done by flush-multi-backend.sh, tells where ctsim's
// time goes, and what each of its watchers costs. It judges nothing: the numbers are for people.
//
// One is run right after the other, in turns first and second, so that a pair meets the same machine. How many flushes
// a run needs is chance, for both alike.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// ways are the arguments of the script, with what they stand for.
var ways = []struct{ name, what string }{
	{"calls", "kube-proxy's rules, one iptables a rule"},
	{"restore", "kube-proxy's rules, one iptables-restore a node"},
	{"few", "two rules in all, not kube-proxy's"},
}

func main() {
	pairs := flag.Int("pairs", 20, "pairs for each way of writing the script")
	ctsim := flag.String("ctsim", "bin/ctsim", "the ctsim to time")
	script := flag.String("script", ".ci/bench/flush-multi-backend.sh", "the script to time")
	peer := flag.String("peer", "bin/peer", "the client and server of the script, see the folder peer")
	file := flag.String("watched", ".ci/bench/watchers.yaml", "the scenario to time with and without watchers")
	flag.Parse()
	os.Setenv("PEER", *peer)
	if err := bench(*pairs, *ctsim, *script, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// pair is how long ctsim and the script took, one after the other.
type pair struct{ ctsim, script time.Duration }

func bench(pairs int, ctsim, script, watched string) error {
	document := func() (time.Duration, []byte, error) {
		return run(ctsim, "run", "flush-multi-backend", "--output", "json")
	}
	measured := map[string][]pair{}
	var whole []time.Duration
	phases := &phases{seconds: map[string][]float64{}}

	for i := range pairs + 1 {
		for _, way := range ways {
			byHand := func() (time.Duration, []byte, error) { return run(script, way.name) }
			var p pair
			var doc []byte
			var err error
			if i%2 == 0 {
				p.ctsim, doc, err = document()
				if err == nil {
					p.script, _, err = byHand()
				}
			} else {
				p.script, _, err = byHand()
				if err == nil {
					p.ctsim, doc, err = document()
				}
			}
			if err != nil {
				return err
			}
			if i == 0 {
				continue // both are read from disk for the first time
			}
			measured[way.name] = append(measured[way.name], p)
			whole = append(whole, p.ctsim)
			if err := phases.add(doc, p.ctsim); err != nil {
				return err
			}
		}
	}

	out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(out, "wall time of %d pairs each\tmin\tmedian\tmax\n", pairs)
	row(out, "ctsim run flush-multi-backend", whole, milliseconds)
	for _, way := range ways {
		row(out, "script: "+way.what, scripts(measured[way.name]), milliseconds)
	}
	fmt.Fprintf(out, "\nctsim / script, pair by pair\tmin\tmedian\tmax\n")
	for _, way := range ways {
		row(out, way.what, ratios(measured[way.name]), func(r float64) string { return fmt.Sprintf("%.2f", r) })
	}
	phases.print(out)
	if err := watchers(out, pairs, ctsim, watched); err != nil {
		return err
	}
	return out.Flush()
}

// run times a command; its exit code must be 0.
func run(name string, args ...string) (time.Duration, []byte, error) {
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return took, nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return took, stdout.Bytes(), nil
}

// phases collects how long the parts of ctsim's runs took.
type phases struct {
	names   []string // in the order of a run
	seconds map[string][]float64
}

func (p *phases) add(document []byte, whole time.Duration) error {
	var result struct {
		Phases []struct {
			Name    string  `json:"name"`
			Seconds float64 `json:"seconds"`
		} `json:"phases"`
	}
	if err := json.Unmarshal(document, &result); err != nil {
		return fmt.Errorf("the JSON document of ctsim: %w", err)
	}
	rest := whole.Seconds()
	for _, phase := range result.Phases {
		p.put(phase.Name, phase.Seconds)
		rest -= phase.Seconds
	}
	p.put("the rest: start and end of the process", rest)
	return nil
}

func (p *phases) put(name string, seconds float64) {
	if !slices.Contains(p.names, name) {
		p.names = append(p.names, name)
	}
	p.seconds[name] = append(p.seconds[name], seconds)
}

func (p *phases) print(out *tabwriter.Writer) {
	total := 0.0
	for _, all := range p.seconds {
		total += median(all)
	}
	fmt.Fprintf(out, "\nwhere ctsim's time goes\tmedian\tshare\n")
	for _, name := range p.names {
		seconds := median(p.seconds[name])
		fmt.Fprintf(out, "%s\t%s\t%.0f %%\n", name, milliseconds(duration(seconds)), 100*seconds/total)
	}
}

func scripts(pairs []pair) (all []time.Duration) {
	for _, p := range pairs {
		all = append(all, p.script)
	}
	return all
}

func ratios(pairs []pair) (all []float64) {
	for _, p := range pairs {
		all = append(all, p.ctsim.Seconds()/p.script.Seconds())
	}
	return all
}

func row[T cmp.Ordered](out *tabwriter.Writer, name string, all []T, text func(T) string) {
	fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", name, text(slices.Min(all)), text(median(all)), text(slices.Max(all)))
}

// median is the middle value; of an even number of values the lower of the two in the middle.
func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)/2]
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", 1000*d.Seconds()) }
