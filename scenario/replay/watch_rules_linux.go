package replay

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
)

// rulesWatcher follows packets through one node's rules; it notes what it lost when it closes.
type rulesWatcher struct {
	*rulepath.Watcher
	run *run
}

func (w rulesWatcher) Close() error {
	err := w.Watcher.Close()
	w.run.mu.Lock()
	defer w.run.mu.Unlock()
	w.run.ev.Lost[string(evidence.FromRules)] += w.Lost()
	return err
}

// trace begins to follow packets through the rules of a node, which have just been put in.
func (r *run) trace(node string, rs dataplane.Rules) error {
	if !r.options.watches(evidence.FromRules) || !r.plan.Followed() {
		return nil
	}
	ns := r.lab.Namespace(node)
	if err := rulepath.Available(ns); errors.Is(err, rulepath.ErrUnavailable) {
		r.missing(evidence.FromRules, "the rules that single packets met: "+strings.TrimPrefix(err.Error(), node+": ")+"; the rules' counters tell")
		return nil
	} else if err != nil {
		return err
	}
	w, err := rulepath.Watch(ns)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.tracers[node] = w
	r.watchers = append(r.watchers, rulesWatcher{w, r})
	r.ev.Lost[string(evidence.FromRules)] += 0
	r.mu.Unlock()
	protocol := packet.TCP
	if r.plan.UDP() {
		protocol = packet.UDP
	}
	if err := w.Trace(rulepath.Match{Protocol: protocol}); err != nil {
		return fmt.Errorf("trace the packets of %s: %w", node, err)
	}
	return r.learn(node, rs)
}

// tracer is that of a node, nil if it has none. The nodes get theirs at the same time.
func (r *run) tracer(node string) *rulepath.Watcher {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tracers[node]
}

// learn tells the tracer of a node what its rules are now. The text that was to be put in is what iptables-save would
// print, unless somebody else has written rules too.
func (r *run) learn(node string, rs dataplane.Rules) error {
	w := r.tracer(node)
	if w == nil {
		return nil
	}
	err := w.Learn(rs.Save())
	if errors.Is(err, rulepath.ErrRulesDiffer) {
		return r.relearn(node)
	}
	return err
}

// relearn reads the rules of a node, which may have been changed by anybody.
func (r *run) relearn(node string) error {
	w := r.tracer(node)
	if w == nil {
		return nil
	}
	text, err := r.rules[node].Save()
	if err == nil {
		err = w.Learn(text)
	}
	if errors.Is(err, rulepath.ErrRulesDiffer) {
		return nil // rules that iptables does not see: a hop then has no text
	}
	return err
}

// notePaths notes the ways of all packets; it is called when none is under way.
func (r *run) notePaths() error {
	for _, node := range r.plan.NodeNames() {
		w := r.tracers[node]
		if w == nil {
			continue
		}
		paths, err := w.Paths()
		if err != nil {
			return err
		}
		r.mu.Lock()
		for _, p := range paths {
			r.ev.Paths = append(r.ev.Paths, p)
			at, within := r.ev.When(&p)
			r.live(func() evidence.Observation { return r.ev.PathObservation(&p, r.index.Path(&p, at), at, within) })
		}
		r.mu.Unlock()
	}
	return nil
}

// counters reads the rules of all nodes with their counters.
func (r *run) counters() (texts map[string]string, counters map[string][]dataplane.Counter, err error) {
	texts, counters = map[string]string{}, map[string][]dataplane.Counter{}
	err = r.onNodes(func(name string, _ dataplane.Rules) error {
		text, all, failed := r.rules[name].Dump()
		r.mu.Lock()
		defer r.mu.Unlock()
		texts[name], counters[name] = text, all
		return failed
	})
	return texts, counters, err
}

// countBefore reads the counters once, before the first break.
func (r *run) countBefore() (err error) {
	if r.ev.Before == nil {
		r.savedBefore, r.ev.Before, err = r.counters()
	}
	return err
}

// count reads the counters at the end: they began at zero when the run put the rules in.
func (r *run) count() error {
	after, counters, err := r.counters()
	r.ev.Rules = counters
	for _, name := range r.plan.NodeNames() {
		r.ev.Saved = append(r.ev.Saved, evidence.SavedRules{Node: name, Before: r.savedBefore[name], After: after[name]})
	}
	return err
}
