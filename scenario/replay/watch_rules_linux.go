package replay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// rulesWatcher follows packets through one node's rules; it notes what it lost when it closes.
type rulesWatcher struct {
	*rulepath.Watcher
	recorder *recorder
}

func (w rulesWatcher) Close() error {
	err := w.Watcher.Close()
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	w.recorder.ev.Lost[string(evidence.FromRules)] += w.Lost()
	return err
}

// trace begins to follow packets through the rules of a node, which have just been put in.
func (x *proxies) trace(node string, rs dataplane.Rules) error {
	if !x.options.watches(evidence.FromRules) || !x.plan.Followed() {
		return nil
	}
	ns := x.lab.Namespace(node)
	if err := rulepath.Available(ns); errors.Is(err, rulepath.ErrUnavailable) {
		x.missing(evidence.FromRules, "the rules that single packets met: "+strings.TrimPrefix(err.Error(), node+": ")+"; the rules' counters tell")
		return nil
	} else if err != nil {
		return err
	}
	w, err := rulepath.Watch(ns)
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.tracers[node] = w
	x.watchers = append(x.watchers, rulesWatcher{w, &x.recorder})
	x.ev.Lost[string(evidence.FromRules)] += 0
	x.mu.Unlock()
	protocol := packet.TCP
	if x.plan.UDP() {
		protocol = packet.UDP
	}
	if err := w.Trace(rulepath.Match{Protocol: protocol}); err != nil {
		return fmt.Errorf("trace the packets of %s: %w", node, err)
	}
	return x.learn(node, rs)
}

// tracer is that of a node, nil if it has none. The nodes get theirs at the same time.
func (x *proxies) tracer(node string) *rulepath.Watcher {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tracers[node]
}

// learn tells the tracer of a node what its rules are now. The text that was to be put in is what iptables-save would
// print, unless somebody else has written rules too.
func (x *proxies) learn(node string, rs dataplane.Rules) error {
	w := x.tracer(node)
	if w == nil {
		return nil
	}
	err := w.Learn(rs.Save())
	if errors.Is(err, rulepath.ErrRulesDiffer) {
		return x.relearn(node)
	}
	return err
}

// relearn reads the rules of a node, which may have been changed by anybody.
func (x *proxies) relearn(node string) error {
	w := x.tracer(node)
	if w == nil {
		return nil
	}
	text, err := x.rules[node].Save()
	if err == nil {
		err = w.Learn(text)
	}
	if errors.Is(err, rulepath.ErrRulesDiffer) {
		return nil // rules that iptables does not see: a hop then has no text
	}
	return err
}

// notePaths notes the ways of all packets; it is called when none is under way.
func (x *proxies) notePaths() error {
	for _, node := range x.plan.NodeNames() {
		w := x.tracers[node]
		if w == nil {
			continue
		}
		paths, err := w.Paths()
		if err != nil {
			return err
		}
		x.mu.Lock()
		for _, p := range paths {
			x.ev.Paths = append(x.ev.Paths, p)
			at, within := x.ev.When(&p)
			x.live(func() evidence.Observation { return x.ev.PathObservation(&p, x.index.Path(&p, at), at, within) })
		}
		x.mu.Unlock()
	}
	return nil
}

// counters reads the rules of all nodes with their counters.
func (x *proxies) counters() (texts map[string]string, counters map[string][]dataplane.Counter, err error) {
	texts, counters = map[string]string{}, map[string][]dataplane.Counter{}
	err = x.onNodes(func(name string, _ dataplane.Rules) error {
		text, all, failed := x.rules[name].Dump()
		x.mu.Lock()
		defer x.mu.Unlock()
		texts[name], counters[name] = text, all
		return failed
	})
	return texts, counters, err
}

// countBefore reads the counters once, before the first break.
func (x *proxies) countBefore() (err error) {
	if x.ev.Before == nil {
		x.savedBefore, x.ev.Before, err = x.counters()
	}
	return err
}

// count reads the counters at the end: they began at zero when the run put the rules in.
func (x *proxies) count() error {
	after, counters, err := x.counters()
	x.ev.Rules = counters
	for _, name := range x.plan.NodeNames() {
		x.ev.Saved = append(x.ev.Saved, evidence.SavedRules{Node: name, Before: x.savedBefore[name], After: after[name]})
	}
	return err
}

// counted are the counters of the moment, nil if no expectation speaks of a rule.
func (x *proxies) counted() (map[string][]dataplane.Counter, error) {
	if len(x.plan.Expect.Rules) == 0 {
		return nil, nil
	}
	_, counters, err := x.counters()
	return counters, err
}

// keepGone notes what counted in rules that are no longer there, or count from zero again.
func (x *proxies) keepGone(before map[string][]dataplane.Counter) error {
	after, err := x.counted()
	if err != nil || before == nil {
		return err
	}
	if x.ev.Gone == nil {
		x.ev.Gone = map[string][]dataplane.Counter{}
	}
	for node, counters := range before {
		for _, was := range counters {
			stays := slices.ContainsFunc(after[node], func(is dataplane.Counter) bool {
				return is.Table == was.Table && is.Chain == was.Chain && is.Rule == was.Rule && is.Packets >= was.Packets
			})
			if !stays && was.Packets > 0 {
				x.ev.Gone[node] = append(x.ev.Gone[node], was)
			}
		}
	}
	return nil
}
