// Torture tries to prove ctsim wrong: it makes random scenarios, runs them in namespaces of their own, and holds what accounts and
// verdicts say of each against an oracle that knows neither. See docs/torture.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/torture/generate"
	"github.com/ctsim/ctsim/torture/trial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	seed, first uint64
	time        time.Duration
	count       uint64
	parallel    int
	fault       string
	shrink      time.Duration
	file        string
	packets     bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()%1e9), "the seed; without it a fresh one")
	flags.Uint64Var(&o.first, "first", 0, "the number of the first scenario")
	flags.Uint64Var(&o.count, "count", 0, "how many scenarios at most; 0 is as many as the time allows")
	flags.DurationVar(&o.time, "time", time.Minute, "how long new scenarios are begun")
	flags.IntVar(&o.parallel, "parallel", 8, "how many run at the same time")
	flags.StringVar(&o.fault, "fault", "", "plant this fault; `all` shows of each whether it is found, `list` lists them")
	flags.DurationVar(&o.shrink, "shrink", 20*time.Second, "how long to look for the smallest scenario of each kind of disagreement")
	flags.StringVar(&o.file, "file", "", "run the first scenario of this file alone, and print what was seen at both ends")
	flags.BoolVar(&o.packets, "packets", false, "print what was seen at both ends with each disagreement")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if o.fault == "list" {
		for _, f := range trial.Faults {
			fmt.Fprintf(stdout, "%-24s %s\n", f.Name, f.Text)
		}
		return 0
	}
	if wrong := wrongFault(o.fault); wrong != "" {
		fmt.Fprintln(stderr, "torture:", wrong)
		return 2
	}
	if o.file != "" {
		return one(ctx, o, stdout, stderr)
	}
	s := &session{options: o, stdout: stdout, stderr: stderr, began: time.Now(), kinds: map[string]*kind{}, found: map[string]found{}}
	s.work(ctx)
	return s.conclude(ctx)
}

// one runs a file's first scenario and prints what was seen and said of it.
func one(ctx context.Context, o options, stdout, stderr io.Writer) int {
	text, err := os.ReadFile(o.file)
	var t *trial.Trial
	if err == nil {
		var refused error
		t, refused, err = trial.RunFile(ctx, string(text))
		err = errors.Join(refused, err)
	}
	if err != nil {
		fmt.Fprintln(stderr, "torture:", err)
		return 2
	}
	fmt.Fprint(stdout, t.Ends(), t.Opinions())
	findings := t.FindingsWith(o.fault)
	for _, f := range findings {
		fmt.Fprintf(stdout, "# %s\n%s\n", f.Kind, f.Text)
	}
	if len(findings) > 0 {
		return 1
	}
	return 0
}

// wrongFault says why a fault cannot be planted, empty if it can.
func wrongFault(name string) string {
	known := slices.ContainsFunc(trial.Faults, func(f trial.Fault) bool { return f.Name == name })
	switch {
	case name == "":
		return ""
	case !fault.CanPlant:
		return "this build cannot plant faults; build it with -tags torture"
	case !known && name != "all":
		return fmt.Sprintf("no fault %q; -fault list lists them", name)
	}
	return ""
}

// kind is a kind of disagreement: how many scenarios had it, and the first.
type kind struct {
	scenarios int
	first     *trial.Trial
	text      string
}

// found is how a fault was found.
type found struct {
	after    time.Duration
	scenario string
	text     string
}

// session is one series of scenarios.
type session struct {
	options
	stdout, stderr io.Writer
	began          time.Time

	mu                                           sync.Mutex
	next                                         uint64
	scenarios, disagreements, undecided, refused int
	failed                                       []string
	kinds                                        map[string]*kind
	found                                        map[string]found
}

// work runs scenarios, several at a time, until the time is over.
func (s *session) work(ctx context.Context) {
	var wait sync.WaitGroup
	for range s.parallel {
		wait.Go(func() {
			for ctx.Err() == nil && time.Since(s.began) < s.time {
				s.mu.Lock()
				n := s.first + s.next
				s.next++
				enough := s.count > 0 && s.next > s.count
				s.mu.Unlock()
				if enough {
					return
				}
				s.one(ctx, generate.New(s.seed, n))
			}
		})
	}
	wait.Wait()
}

// one runs a scenario and books what came of it.
func (s *session) one(ctx context.Context, c generate.Case) {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t, refused, err := trial.Run(limited, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case refused != nil:
		s.refused++
		return
	case err != nil:
		if ctx.Err() == nil {
			s.failed = append(s.failed, fmt.Sprintf("%s: %v", c.Name, err))
		}
		return
	case t.Interrupted():
		if ctx.Err() == nil {
			s.failed = append(s.failed, c.Name+": not over after a minute")
		}
		return
	}
	s.scenarios++
	if !t.Decided() {
		s.undecided++
	}
	if s.fault == "all" {
		s.tryFaults(t)
		return
	}
	findings := t.FindingsWith(s.fault)
	if s.fault != "" {
		findings = beyond(findings, t.FindingsWith(""))
	}
	if len(findings) == 0 {
		return
	}
	s.disagreements++
	for _, name := range trial.Kinds(findings) {
		k := s.kinds[name]
		if k == nil {
			i := slices.IndexFunc(findings, func(f trial.Finding) bool { return f.Kind == name })
			k = &kind{first: t, text: findings[i].Text}
			s.kinds[name] = k
			fmt.Fprintf(s.stderr, "torture: %s: %s\n", c.Name, name)
		}
		k.scenarios++
	}
}

// beyond are the findings of a kind that is not among the others.
func beyond(findings, others []trial.Finding) []trial.Finding {
	return slices.DeleteFunc(findings, func(f trial.Finding) bool { return slices.Contains(others, f) })
}

// tryFaults plants every fault that was not found yet; one that changes the findings is found.
func (s *session) tryFaults(t *trial.Trial) {
	without := t.FindingsWith("")
	for _, f := range trial.Faults {
		if _, done := s.found[f.Name]; done {
			continue
		}
		if more := beyond(t.FindingsWith(f.Name), without); len(more) > 0 {
			s.found[f.Name] = found{time.Since(s.began), t.Case.Name, more[0].Kind}
		}
	}
}

// conclude prints what was found and gives the exit code.
func (s *session) conclude(ctx context.Context) int {
	if s.fault == "all" {
		return s.faults()
	}
	for _, name := range s.order() {
		k := s.kinds[name]
		limited, cancel := context.WithTimeout(ctx, s.shrink)
		t := trial.Shrink(limited, k.first, name, s.fault)
		cancel()
		text := k.text
		for _, f := range t.FindingsWith(s.fault) {
			if f.Kind == name {
				text = f.Text
				break
			}
		}
		if s.packets {
			fmt.Fprint(s.stdout, t.Ends())
		}
		fmt.Fprintf(s.stdout, "# %s (%s)\n%s\n%s%s\n", name, times(k.scenarios), text, t.Opinions(), t.Case.YAML())
	}
	for _, text := range s.failed {
		fmt.Fprintln(s.stdout, "# could not be run:", text)
	}
	if s.refused > 0 {
		fmt.Fprintf(s.stdout, "# the language refused %s\n", times(s.refused))
	}
	fmt.Fprintf(s.stdout, "torture: seed %d: %d scenarios, %d disagreements, %d undecided\n", s.seed, s.scenarios, s.disagreements+len(s.failed), s.undecided)
	if s.disagreements+len(s.failed) > 0 {
		return 1
	}
	return 0
}

func times(n int) string {
	if n == 1 {
		return "1 scenario"
	}
	return fmt.Sprintf("%d scenarios", n)
}

// order is the kinds of disagreements, the most frequent first.
func (s *session) order() []string {
	var out []string
	for name := range s.kinds {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		if d := s.kinds[b].scenarios - s.kinds[a].scenarios; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return out
}

// faults prints of each fault how soon it was found; not all is exit code 1.
func (s *session) faults() int {
	missed := 0
	for _, f := range trial.Faults {
		how, is := s.found[f.Name]
		if !is {
			missed++
			fmt.Fprintf(s.stdout, "%-24s NOT FOUND  %s\n", f.Name, f.Text)
			continue
		}
		fmt.Fprintf(s.stdout, "%-24s %5.1f s  %-20s %s\n", f.Name, how.after.Seconds(), how.scenario, how.text)
	}
	fmt.Fprintf(s.stdout, "torture: seed %d: %d scenarios, %d of %d faults found\n", s.seed, s.scenarios, len(trial.Faults)-missed, len(trial.Faults))
	if missed > 0 {
		return 1
	}
	return 0
}
