package report

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// maxConnections is how many connections are listed one by one.
const maxConnections = 1000

// page is all that the template shows, in its order.
type page struct {
	*result.Result
	CSS    template.CSS
	JS     template.JS
	Policy string
	// Mark is the verdict as a sign, for those who do not see colours.
	Mark string
	// Unmet are the expectations behind a verdict that has several reasons; Conclusion is what is said before them.
	Conclusion string
	Unmet      []verdict.Check
	Facts      []field
	Causes     []cause
	// Picture is nil if nothing is known of the world.
	Picture   *picture
	ExampleOf *account.Connection
	Sequence  *sequence
	Entry     *comparison
	Lives     []account.Entry
	Path      rulesMet
	// Lost tells whether the example's entry was lost.
	Lost bool
	// Moved and Still are the rules that packets met after the break, and those they met before it alone.
	Moved, Still []ruleCounter
	Kernels      []kernelEvent
	Samples      []socketSample
	SamplesLeft  int
	Groups       []group
	Listed       []account.Connection
	ListedLeft   int
	Losses       []string
	LostSum      int
	// Headword is the result in a word, Claim what Conclusion is: a verdict, or of a trial its result.
	Headword, Claim string
	// Settings, Production and Words are of a trial alone, as the terminal shows them.
	Settings   []field
	Production []productionLine
	Words      []programWords
}

// programWords are a program, how it ended, and its last lines.
type programWords struct {
	At, Ended string
	Said      []string
}

// cause is a link of the chain, with its time apart.
type cause struct{ Time, Text string }

func newPage(r *result.Result) *page {
	p := &page{Result: r, CSS: template.CSS(pageStyle), JS: template.JS(pageScript), Policy: contentPolicy(), Mark: mark(r.Verdict)}
	p.Facts = facts(r)
	p.Conclusion, p.Unmet = conclusion(r)
	p.Headword, p.Claim = headword(r), "Verdict"
	if r.Trial {
		p.trial()
	}
	p.Causes = causes(r.Account)
	var example account.Connection
	if i := slices.IndexFunc(r.Connections, func(c account.Connection) bool { return c.ID == r.Example }); i >= 0 {
		example = r.Connections[i]
		p.ExampleOf = &example
	}
	seen := ofExample(r)
	if slices.ContainsFunc(r.World, func(p evidence.Place) bool { return p.Kind == "node" }) {
		p.Picture = newPicture(r, example)
	}
	p.Sequence = newSequence(r, seen)
	p.Entry, p.Lives = compare(r.Entries), r.Entries
	p.Path = rulesAround(seen, r.Entries)
	node, _ := lostEntry(r.Entries)
	p.Lost = node != ""
	p.Moved, p.Still = ruleCounters(r.Rules)
	p.Kernels = kernelEvents(seen)
	p.Samples, p.SamplesLeft = socketSamples(seen)
	if len(r.Connections) > 1 {
		p.Groups = groups(r.Connections)
		p.Listed = r.Connections[:min(len(r.Connections), maxConnections)]
		p.ListedLeft = len(r.Connections) - len(p.Listed)
	}
	for _, source := range slices.Sorted(maps.Keys(r.Lost)) {
		if n := r.Lost[source]; n > 0 {
			p.Losses = append(p.Losses, fmt.Sprintf("%d of %s", n, source))
			p.LostSum += n
		}
	}
	return p
}

// trial puts on the page what the terminal says of a trial.
func (p *page) trial() {
	c, ok := tried(p.Result)
	p.Claim, p.Conclusion, p.Unmet = "Result", trialSentence(p.Result, c, ok), nil
	p.Settings, p.Production = settings(c), inProduction(c)
	for _, run := range p.Programs {
		words := programWords{At: run.At, Ended: run.Ended}
		for _, o := range lastWords(p.Result, run.At) {
			words.Said = append(words.Said, o.Kind+"| "+printable.Line(o.Text))
		}
		p.Words = append(p.Words, words)
	}
}

// conclusion takes a reason that is a list apart: as one sentence nobody would read it.
func conclusion(r *result.Result) (short string, unmet []verdict.Check) {
	for _, e := range r.Expectations {
		if e.Verdict == r.Verdict {
			unmet = append(unmet, e)
		}
	}
	if r.Verdict == verdict.Pass || len(unmet) < 2 || r.Interrupted {
		return r.Reason, nil
	}
	short = "not as expected"
	if r.Verdict == verdict.Inconclusive {
		short = "cannot be told"
	}
	return fmt.Sprintf("%s, in %d of %d expectations", short, len(unmet), len(r.Expectations)), unmet
}

// ofExample is what was seen of the example, and what belongs to no connection or to all.
func ofExample(r *result.Result) []evidence.Observation {
	var out []evidence.Observation
	for _, o := range r.Timeline {
		if o.Connection == 0 || o.Connection == r.Example {
			out = append(out, o)
		}
	}
	return out
}

func facts(r *result.Result) []field {
	user := "root"
	if r.Rootless {
		user = "in a user namespace, without root"
	}
	took := seconds(r.DurationS)
	if r.Interrupted {
		took = "interrupted after " + took
	}
	out := []field{{"kernel", r.Kernel}, {"run as", user}, {"started", r.Started.UTC().Format(time.DateTime + " UTC")}, {"took", took},
		{"observations", fmt.Sprint(len(r.Timeline))}}
	if r.TimeScale > 1 {
		out = append(out, field{"time", scaled(r.TimeScale)})
	}
	return out
}

func causes(all []account.Sentence) []cause {
	var out []cause
	for _, s := range all {
		one := cause{Text: s.Text}
		if !s.AtEnd {
			one.Time = stamp(s.T)
		}
		out = append(out, one)
	}
	return out
}

// Took is a duration in seconds as people read it.
func (p *page) Took(s float64) string { return seconds(s) }

// Stamp is a time since the start of the run.
func (p *page) Stamp(t float64) string { return stamp(t) }

// Tick is a verdict as a sign.
func (p *page) Tick(v verdict.Verdict) string { return mark(v) }

// Way is the pods that a connection was translated to.
func (p *page) Way(pods []string) string { return path(pods) }
